"""Settings at the top of a file that every panel, or every arm, replaces: checked all the same, and named.

Each panel is validated with its own settings, so a value that all of them replace is in none of these checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from maskbench.config.parsing.nodes import Node, Override
from maskbench.config.parsing.problems import Place
from maskbench.config.parsing.validation import must_be, validate
from maskbench.config.resolve.arms import ArmDraft
from maskbench.config.resolve.evaluation_masks import read_evaluation_masks
from maskbench.config.resolve.overrides import ARM_SECTIONS, PANEL_SECTIONS, SECTIONS, is_replaced_by_all
from maskbench.config.resolve.placements import RegistryValidator
from maskbench.config.schema.experiment import CorpusConfig


def check_replaced_by_panels(
    tree: Node, panels: Sequence[Sequence[Override]], arms: Sequence[ArmDraft], validator: RegistryValidator
) -> None:
    """Report what is wrong with top-level settings that every panel replaces.

    Each value is checked on its own: that keys are missing, or that two values do not go together, is no mistake
    where the panels have others.

    Args:
        tree: the file.
        panels: the overrides of every panel.
        arms: every arm, whose names `evaluate.masks` may hold.
        validator: validates corpora and placements, and contains the report.
    """
    for section in PANEL_SECTIONS:
        node, replaced = tree.get(section), _replaced_keys(tree, section, panels)
        if node is None or replaced is None:
            continue
        if not must_be("mapping", node, section, validator.report):
            continue
        if section == "evaluate" and "masks" in replaced:
            named_tree, named = read_evaluation_masks(tree, arms, validator.report)
            node = named_tree.entries[section].node
            for masks in named.values():
                if masks.what.startswith("evaluate.masks."):
                    validator.arm(masks.masks.items, masks.what, None)
        if section == "corpus":
            _check_corpus(node, replaced, validator)
        elif (model := SECTIONS[section]) is not None:
            validate(model, node, section, validator.report, only=replaced)


def _replaced_keys(tree: Node, section: str, groups: Sequence[Sequence[Override]]) -> frozenset[str] | None:
    """Return the keys of a section that every group replaces; None if there is none.

    A section without keys, or that is no mapping, is replaced where every group replaces it as a whole.
    """
    node = tree.get(section)
    if node is None or not groups:
        return None
    keys = frozenset(key for key in node.entries if is_replaced_by_all(f"{section}.{key}", groups))
    return keys if keys or is_replaced_by_all(section, groups) else None


def _check_corpus(node: Node, replaced: frozenset[str], validator: RegistryValidator) -> None:
    name = node.get("name")
    if name is None:
        return
    if (
        validate(CorpusConfig, node.filter_keys(lambda key: key == "name"), "corpus", validator.report)
        is None
    ):
        return
    cls: Any = validator.corpus_class(str(name.value), name)
    if cls is not None:
        options = node.filter_keys(lambda key: key != "name")
        validate(cls.Options, options, "corpus", validator.report, ("name",), only=replaced)


def find_unused_settings(
    tree: Node, panels: Sequence[Sequence[Override]], arms: Sequence[ArmDraft]
) -> Iterator[tuple[Place, str]]:
    """Yield the place and a sentence for every top-level setting that has no effect in any run."""
    for what, sections, groups in (
        ("panel", PANEL_SECTIONS, panels),
        ("arm", ARM_SECTIONS, [arm.overrides for arm in arms]),
    ):
        for section in sections:
            replaced = _replaced_keys(tree, section, groups)
            if replaced is None:
                continue
            entry = tree.entries[section]
            if replaced == entry.node.entries.keys():
                yield entry.key_place, _sentence(section, what)
                continue
            for key in entry.node.entries:
                if key in replaced:
                    yield entry.node.entries[key].key_place, _sentence(f"{section}.{key}", what)


def _sentence(key: str, what: str) -> str:
    return f"{key} has no effect: every {what} sets it itself; leave it out at the top of the file"


def is_corpus_needed(panels: Sequence[Sequence[Override]]) -> bool:
    """Return whether a file needs a corpus at its top: False where every panel has one of its own."""
    return not panels or not is_replaced_by_all("corpus", panels)
