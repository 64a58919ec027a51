"""The claims file: testable statements, each with the experiment that tests it.

    claims:
      drawn-anew-is-better:
        says: Masks that are drawn anew train better models than masks that are drawn once.
        source: article 0, section 6
        experiment: static-vs-dynamic
        panel: low
        arm: dynamic
        against: static
        metric: noise-mask-20/token_accuracy
        expects: higher
        min_effect: 0.01

The expected result and the smallest relevant difference are fixed before the runs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from maskbench.config.parsing.file_reader import read_text
from maskbench.config.parsing.nodes import Node
from maskbench.config.parsing.problems import ProblemReport
from maskbench.config.parsing.validation import check_keys, format_value, must_be, validate
from maskbench.config.parsing.yaml_reader import parse_yaml
from maskbench.config.schema.metrics import metric_name
from maskbench.config.schema.names import Name, check_name
from maskbench.config.schema.sections import StrictModel, check_metric_name

STEP_TIME = "step_time"
"""The time of a training step of the arm divided by that of the arm it is compared with; measured once, not
for every seed."""

Direction: TypeAlias = Literal["higher", "lower", "no difference"]


class Limit(StrictModel):
    """A claim about the arm's own values: every value lies above, or every value lies below, a number."""

    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one_side(self) -> Limit:
        if (self.above is None) == (self.below is None):
            raise ValueError("must have one of above and below, such as {above: 0.9}")
        return self

    def holds(self, value: float) -> bool:
        """Whether a value lies on the claimed side of the number; a value equal to the number does not."""
        if self.above is not None:
            return value > self.above
        return self.below is not None and value < self.below

    def __str__(self) -> str:
        side, bound = ("below", self.below) if self.above is None else ("above", self.above)
        return f"{side} {bound:g}"


def _one_of(expects: object) -> object:
    if isinstance(expects, dict | Limit) or expects in ("higher", "lower", "no difference"):
        return expects
    raise ValueError("must be higher, lower, no difference, or a limit such as {above: 0.9}")


class Claim(StrictModel):
    """One claim: a statement, and the arm, metric and expected result that test it."""

    says: Annotated[str, Field(min_length=1)]
    """The claim, as a sentence."""
    source: Annotated[str, Field(min_length=1)]
    """Who makes the claim, and where."""
    experiment: Name
    panel: Name | None = None
    """None: the experiment has no panels."""
    arm: Name
    against: Name | None = None
    """The arm it is compared with; None: the experiment's baseline."""
    metric: str
    """`split/metric`, such as test/exact_match, or `step_time`."""
    expects: Annotated[Direction | Limit, BeforeValidator(_one_of)]
    min_effect: Annotated[float, Field(gt=0)] | None = None
    """The smallest relevant difference, in the metric's unit."""

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, metric: str) -> str:
        return metric if metric == STEP_TIME else check_metric_name(metric)

    @model_validator(mode="after")
    def _fits_together(self) -> Claim:
        if self.against == self.arm:
            raise _clash("against must be another arm than the claim's own", "against")
        if isinstance(self.expects, Limit):
            if self.min_effect is not None:
                raise _clash("a limit needs no min_effect; leave one of them out", "min_effect")
            return self
        if self.metric == STEP_TIME:
            raise _clash(f"{STEP_TIME} is measured once; expect a limit such as {{below: 0.95}}", "expects")
        if self.min_effect is None:
            raise _clash(f"min_effect is needed where {self.expects} is expected", "expects")
        name = metric_name(self.metric)
        reach = name.info.high - name.info.low if name else math.inf
        if self.min_effect >= reach:
            raise _clash(f"min_effect is out of reach: the metric spans {reach:g}", "min_effect")
        return self


def load_claims(path: Path) -> dict[str, Claim]:
    """Return the claims in the file at `path` by name, in the order of the file.

    Raises:
        ConfigError: the file is invalid; the message has all problems, each with its place.
    """
    report = ProblemReport(str(path))
    tree = parse_yaml(read_text(path, report), report)
    found = dict(_read(tree, report))
    report.raise_if_any()
    return found


def _read(tree: Node, report: ProblemReport) -> Iterator[tuple[str, Claim]]:
    if not must_be("mapping", tree, "a file of claims", report):
        return
    check_keys(tree, "a file of claims", ("claims",), report)
    claims = tree.get("claims")
    if claims is None:
        report.add(tree.place, "missing key 'claims'")
        return
    if not must_be("mapping", claims, "claims", report):
        return
    if not claims.entries:
        report.add(claims.place, f"claims must hold at least one claim, got {format_value(claims)}")
    for name, entry in claims.entries.items():
        try:
            check_name(name)
        except ValueError as error:
            report.add(entry.key_place, f"claim {name!r} {error}")
            continue
        claim = validate(Claim, entry.node, f"claims.{name}", report)
        if claim is not None:
            yield name, claim


def _clash(message: str, at: str) -> PydanticCustomError:
    return PydanticCustomError("cross_field", "{message}", {"message": message, "at": at})
