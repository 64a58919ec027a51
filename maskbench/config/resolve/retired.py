"""Read `retired`: arms that are not trained any more, each with the reason.

    retired: {window-radius-2: no better than radius 1 after two seeds}

Dropping an arm once its results are known makes the others look better than they are, because fewer comparisons are
corrected for. A retired arm still counts among them, and stays listed with its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from maskbench.config.parsing.nodes import Node
from maskbench.config.parsing.problems import ProblemReport, replace_unprintable, shorten
from maskbench.config.parsing.validation import format_value, must_be
from maskbench.config.resolve.arms import ArmDraft
from maskbench.config.schema.experiment import RetiredArm
from maskbench.config.schema.names import check_name, slugify

MAX_REASON_LENGTH = 300


def read_retired(node: Node, arms: Sequence[ArmDraft], report: ProblemReport) -> tuple[RetiredArm, ...]:
    """Return the retired arms in file order; add problems to the report.

    An arm may be named by its folder or, if it came from a grid, by its title.

    Args:
        arms: the arms that are still in the file.
    """
    if not must_be("mapping", node, "retired", report):
        return ()
    found: dict[str, RetiredArm] = {}
    for title, entry in node.entries.items():
        name, reason = slugify(title), entry.node.value
        try:
            check_name(name)
        except ValueError as error:
            report.add(entry.key_place, f"retired arm {shorten(title)!r} {error}")
            continue
        live = next((arm for arm in arms if name in (arm.name, arm.family) or title == arm.title), None)
        is_text = isinstance(reason, str) and 0 < len(reason.strip()) <= MAX_REASON_LENGTH
        if live is not None:
            message = f"{title!r} is both in arms and in retired; take it out of one of them"
            if name == live.family != live.name:
                message = f"{title!r} names the arms of a grid in arms; name the arm that is retired, such as {live.name}"
            report.add(entry.key_place, f"retired: {message}")
        elif name in found:
            report.add(entry.key_place, f"retired: {found[name].title!r} and {title!r} are one arm")
        elif not is_text or not isinstance(reason, str):
            rule = f"must say why it was retired, in 1 to {MAX_REASON_LENGTH} characters"
            report.add(entry.node.place, f"retired.{shorten(title)} {rule}, got {format_value(entry.node)}")
        else:
            words = " ".join(replace_unprintable(" ".join(reason.split())).split())
            found[name] = RetiredArm(name=name, title=replace_unprintable(title), reason=words)
    return tuple(found.values())
