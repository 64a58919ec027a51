"""The contracts of what a plug-in may register: strategies, presets, corpora, metrics.

They are checked as soon as a plug-in is loaded. Every violation is found, each with the line of the plug-in where it
stands, so that one attempt tells all there is to mend.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError

from maskbench.config.schema.experiment import SITES, PlacementConfig, Refresh
from maskbench.config.schema.metrics import MetricInfo, SliceKind
from maskbench.data.corpus import CorpusBuilder
from maskbench.masks.base import (
    ATTENTION_SITES,
    INPUT_SITES,
    InputFeature,
    LogitMask,
    LossMask,
    Strategy,
    StrategyOptions,
    TensorGate,
    TokenMask,
)
from maskbench.masks.clock import Phase
from maskbench.metrics.base import Metric
from maskbench.plugins.faults import describe_fault, is_plugin_code, place_of
from maskbench.plugins.guards import guarded_methods
from maskbench.registry import CORPORA, MASKS, METRICS, PRESETS, Preset, Registry, did_you_mean

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_METRIC_NEEDS = ("junk", "links", "deps", "tags", "origin")
_STRATEGY_NEEDS = ("junk", "links")
_DEPENDENCIES = ("annotation", "input", "length", "parameters")
_FLAGS = (
    *("stochastic", "may_empty_rows", "starts_as_identity", "cacheable", "rows_sum_to_one", "signed_weights"),
    *("mixes_queries", "sliceable", "hides", "reads_losses"),
)


class ContractViolation(NamedTuple):
    """One part of a contract that a class breaks."""

    message: str
    attribute: str = ""
    """The attribute or method that is wrong, to find its line; empty where it is the class or something missing."""


@dataclass(frozen=True, slots=True)
class _Contract:
    """What is checked of the entries of one registry."""

    registry: Registry[Any]
    what: str
    find: Callable[[str, Any], Iterator[ContractViolation]]


def find_violations(new: Mapping[str, set[str]], shown: str) -> list[str]:
    """Return a message with its line for every part of a contract that newly registered entries break.

    Args:
        new: the names that are new, by kind of registry.
        shown: the plug-in's name in messages about entries whose source is not known.
    """
    found = []
    for contract in _CONTRACTS:
        for name in sorted(new.get(contract.registry.kind, ())):
            entry = contract.registry[name]
            violations = list(contract.find(name, entry))
            if contract.registry is MASKS and name in PRESETS:
                violations.append(ContractViolation(f"{name!r} is already the name of a preset"))
            found += [
                f"{locate_entry(entry, shown, attribute)}{contract.what} {name!r}: {' '.join(message.split())}"
                for message, attribute in violations
            ]
    return found


def locate_entry(entry: Any, shown: str, attribute: str = "") -> str:
    """Return the beginning of a message: the file and line of an attribute of a class, or of the class."""
    try:
        file = inspect.getsourcefile(entry)
        lines, first = inspect.getsourcelines(entry)
    except (OSError, TypeError):
        return f"{shown}: error: "
    if file is None or not is_plugin_code(file):
        return f"{shown}: error: "
    return place_of(file, first + _offset(lines, attribute))


def first_line(entry: Any) -> str:
    """Return the first line of a class's source, which is its first decorator; empty where it is not known."""
    try:
        return str(inspect.getsourcelines(entry)[0][0]).strip()
    except (OSError, TypeError):
        return ""


def _offset(lines: list[str], attribute: str) -> int:
    """Return by how many lines an attribute stands below the first line of its class; 0 if it is not there."""
    if not attribute:
        return 0
    try:
        (body,) = ast.parse(textwrap.dedent("".join(lines))).body
    except (SyntaxError, ValueError):
        return 0
    for node in getattr(body, "body", ()):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
        names = [getattr(t, "id", getattr(t, "name", None)) for t in targets]
        if attribute in names:
            return int(node.lineno) - 1
    return 0


def find_contract_violations(name: str, cls: Any) -> Iterator[ContractViolation]:
    """Yield every part of a strategy's contract that `cls` breaks."""
    if not (isinstance(cls, type) and issubclass(cls, Strategy)):
        yield ContractViolation(
            "must be a class derived from one of the kinds in maskbench.masks.base, such as AttentionMask"
        )
        return
    yield from _find_wrong_class(name, cls)
    if not (cls.__doc__ or "").strip():
        yield ContractViolation("has no docstring; its first paragraph is the description in the catalogue")
    yield from _find_wrong_sites(cls)
    if not isinstance(getattr(cls, "source", None), str) or not cls.source.strip():
        yield ContractViolation(
            "declares no source: the paper and year it comes from, or whose idea it is", "source"
        )
    yield from _find_wrong_options(cls)
    yield from _find_wrong_declarations(cls)


def _find_wrong_class(name: str, cls: Any) -> Iterator[ContractViolation]:
    if not _NAME.fullmatch(name):
        yield ContractViolation(
            "a name is made of small letters, digits and underscores, and begins with a letter"
        )
    if inspect.isabstract(cls):
        yield ContractViolation(f"does not define {', '.join(sorted(cls.__abstractmethods__))}")
    yield from _find_wrong_signatures(cls)


def _find_wrong_signatures(cls: type) -> Iterator[ContractViolation]:
    """Yield every method that cannot be called with the arguments with which maskbench calls it."""
    for method, arguments in guarded_methods(cls).items():
        function = inspect.unwrap(getattr(cls, method))
        if getattr(function, "__isabstractmethod__", False):
            continue
        if not callable(function):
            yield ContractViolation(f"{method} is {_article(type(function).__name__)}, not a method", method)
            continue
        # A classmethod is bound already; a plain function still takes self.
        given = arguments if inspect.ismethod(function) else ("self", *arguments)
        try:
            inspect.signature(function).bind(*given)
        except TypeError:
            takes = ", ".join(inspect.signature(function).parameters)
            yield ContractViolation(
                f"{method} takes ({takes}), and is called with ({', '.join(given)})", method
            )


def _find_wrong_sites(cls: type[Strategy]) -> Iterator[ContractViolation]:
    sites = getattr(cls, "sites", None)
    if sites is None:
        yield ContractViolation(
            'declares no sites: where it may be placed, such as frozenset({"encoder_self"})'
        )
        return
    if not isinstance(sites, set | frozenset):
        yield _wrong_set("sites", sites)
        sites = _members(sites)
    elif not sites:
        yield ContractViolation(
            'sites is empty: name where it may be placed, such as {"encoder_self"}', "sites"
        )
    for site in sorted(sites - set(SITES), key=str):
        hint = did_you_mean(str(site), SITES)
        yield ContractViolation(
            f"sites names {site!r}, which is no site{hint} (sites: {', '.join(SITES)})", "sites"
        )
    beyond = sorted(map(str, (sites & set(SITES)) - _sites_of_kind(cls)))
    if beyond:
        yield ContractViolation(
            f"sites names {beyond[0]!r}, where {_article(cls.kind)} is never asked", "sites"
        )


def _members(value: Any) -> frozenset[Any]:
    """Return what somebody who wrote no set meant to be in it."""
    if isinstance(value, str):
        return frozenset({value})
    try:
        return frozenset(value)
    except TypeError:
        return frozenset()


def _wrong_set(attribute: str, value: Any) -> ContractViolation:
    kind = type(value).__name__
    meant = ", ".join(f'"{member}"' for member in sorted(map(str, _members(value)))) or '"..."'
    return ContractViolation(
        f"{attribute} is {_article(kind)}, {value!r}; write frozenset({{{meant}}})",
        attribute,
    )


def _sites_of_kind(cls: type[Strategy]) -> frozenset[str]:
    kinds: list[tuple[type[Strategy], frozenset[str]]] = [
        (TokenMask, INPUT_SITES),
        (InputFeature, INPUT_SITES),
        (TensorGate, INPUT_SITES | {"memory", "logits"}),
        (LogitMask, frozenset({"logits"})),
        (LossMask, frozenset({"loss"})),
    ]
    return next((sites for kind, sites in kinds if issubclass(cls, kind)), ATTENTION_SITES)


def _find_wrong_options(cls: type[Strategy]) -> Iterator[ContractViolation]:
    options = getattr(cls, "Options", None)
    if not (isinstance(options, type) and issubclass(options, StrategyOptions)):
        yield ContractViolation(
            "declares no Options: a class derived from StrategyOptions, with its options and their ranges",
            "Options",
        )
        return
    if not isinstance(getattr(cls, "example", None), options):
        yield ContractViolation(
            f"declares no example: {_article(options.__name__)} with which it visibly does something",
            "example",
        )


def _find_wrong_declarations(cls: type[Strategy]) -> Iterator[ContractViolation]:
    for attribute, known in (("depends_on", _DEPENDENCIES), ("needs", _STRATEGY_NEEDS)):
        value = getattr(cls, attribute)
        if isinstance(value, property):
            continue
        if not isinstance(value, set | frozenset):
            yield _wrong_set(attribute, value)
        for member in sorted(_members(value) - set(known), key=str):
            yield ContractViolation(f"{attribute} names {member!r} (known: {', '.join(known)})", attribute)
    for flag in _FLAGS:
        value = getattr(cls, flag, False)
        if not isinstance(value, bool | property):
            yield ContractViolation(f"{flag} is {value!r}, and says True or False", flag)
    refresh = cls.default_refresh
    if refresh is not None and not isinstance(refresh, Refresh):
        yield ContractViolation(f"default_refresh is {refresh!r}; write Refresh(per=...)", "default_refresh")
    elif isinstance(cls.stochastic, bool) and cls.stochastic != (refresh is not None):
        yield ContractViolation(
            "stochastic and default_refresh go together: who draws says when a new mask is drawn, by default",
            "stochastic",
        )
    phases = cls.default_phases
    wrong = not isinstance(phases, tuple) or [phase for phase in phases if phase not in get_args(Phase)]
    if wrong or not phases:
        yield ContractViolation(
            f"default_phases is {phases!r}, and is a tuple of {' and '.join(get_args(Phase))}, or of one of them",
            "default_phases",
        )
    arm = cls.example_arm
    if not isinstance(arm, tuple) or not all(isinstance(one, PlacementConfig) for one in arm):
        yield ContractViolation(f"example_arm is {arm!r}, and is a tuple of PlacementConfig", "example_arm")


def find_metric_violations(name: str, cls: Any) -> Iterator[ContractViolation]:
    """Yield every part of a metric's contract that `cls` breaks."""
    if not (isinstance(cls, type) and issubclass(cls, Metric)):
        yield ContractViolation(
            "must be a class derived from Metric, TokenMetric or TranslationMetric in maskbench.metrics.base"
        )
        return
    yield from _find_wrong_class(name, cls)
    if not isinstance(getattr(cls, "higher_is_better", None), bool):
        yield ContractViolation("declares no higher_is_better: True or False", "higher_is_better")
    for attribute, meaning in (
        ("unit", "what 1.0 of it is, such as 'share of sentences'"),
        ("description", "one line that says what the number is"),
        ("source", "the paper and year it comes from, or whose idea it is"),
    ):
        text = getattr(cls, attribute, None)
        if not isinstance(text, str) or not text.strip():
            yield ContractViolation(f"declares no {attribute}: {meaning}", attribute)
    limits = (cls.low, cls.high)
    if not all(isinstance(limit, int | float) for limit in limits) or not cls.low < cls.high:
        yield ContractViolation(
            "low and high are numbers, the least and the greatest value, and low is below high", "high"
        )
    for attribute, known in (("needs", _METRIC_NEEDS), ("slices", get_args(SliceKind))):
        unknown = sorted(map(str, _members(getattr(cls, attribute)) - set(known)))
        if unknown:
            yield ContractViolation(
                f"{attribute} names {unknown[0]!r} (known: {', '.join(known)})", attribute
            )
        elif isinstance(getattr(cls, attribute), str):
            yield ContractViolation(f"{attribute} is a text; put it into a tuple", attribute)
    numbers = cls.sentence_numbers
    if numbers is not None and (isinstance(numbers, bool) or not isinstance(numbers, int) or numbers < 1):
        yield ContractViolation(
            "sentence_numbers is None, or how many numbers a sentence adds", "sentence_numbers"
        )
    elif numbers not in (None, 2) and cls.score_counts is MetricInfo.score_counts:
        yield ContractViolation(
            f"adds {numbers} numbers a sentence, but does not define score_counts, which makes a value of them"
        )


def find_corpus_violations(name: str, cls: Any) -> Iterator[ContractViolation]:
    """Yield every part of a corpus's contract that `cls` breaks."""
    if not (isinstance(cls, type) and issubclass(cls, CorpusBuilder)):
        yield ContractViolation("must be a class derived from CorpusBuilder in maskbench.data.corpus")
        return
    yield from _find_wrong_class(name, cls)
    if not (cls.__doc__ or "").strip():
        yield ContractViolation(
            "has no docstring; its first paragraph is the description in the list of corpora"
        )
    options = getattr(cls, "Options", None)
    if not (isinstance(options, type) and issubclass(options, BaseModel)):
        yield ContractViolation(
            "declares no Options: a pydantic model with every key of the corpus but name", "Options"
        )
    if isinstance(cls.version, bool) or not isinstance(cls.version, int):
        yield ContractViolation(f"version is {cls.version!r}, and is a whole number", "version")


def find_preset_violations(name: str, preset: Any) -> Iterator[ContractViolation]:
    """Yield every part of a preset's contract that `preset` breaks."""
    if not isinstance(preset, Preset):
        yield ContractViolation(f"must be a Preset, and is {_article(type(preset).__name__)}")
        return
    if not _NAME.fullmatch(name):
        yield ContractViolation(
            "a name is made of small letters, digits and underscores, and begins with a letter"
        )
    for attribute in ("description", "source"):
        if not isinstance(getattr(preset, attribute), str) or not getattr(preset, attribute).strip():
            yield ContractViolation(f"has no {attribute}")
    if preset.mask not in MASKS:
        yield ContractViolation(
            f"is a setting of {preset.mask!r}, which is no mask strategy{did_you_mean(str(preset.mask), MASKS)}"
        )
        return
    cls = MASKS[preset.mask]
    if not isinstance(preset.sites, set | frozenset):
        yield _wrong_set("sites", preset.sites)
    beyond = sorted(map(str, _members(preset.sites) - _members(getattr(cls, "sites", ()))))
    if beyond or not preset.sites:
        yield ContractViolation(
            f"sites names {beyond[0] if beyond else 'nothing'!r}, where {preset.mask} does not act"
        )
    try:
        # Options that the preset leaves out are the experiment file's to set.
        cls.Options.model_validate(dict(preset.options))
    except ValidationError as error:
        for problem in error.errors():
            if problem["type"] != "missing":
                where = ".".join(map(str, problem["loc"])) or "options"
                yield ContractViolation(f"{preset.mask}.{where}: {problem['msg']}")
    except Exception as error:
        yield ContractViolation(f"its options cannot be read: {describe_fault(error)}")


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"


_CONTRACTS = (
    _Contract(MASKS, "strategy", find_contract_violations),
    _Contract(PRESETS, "preset", find_preset_violations),
    _Contract(CORPORA, "corpus", find_corpus_violations),
    _Contract(METRICS, "metric", find_metric_violations),
)
