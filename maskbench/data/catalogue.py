"""List the registered corpora with descriptions and options; parse a corpus config from `--set`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic_core import PydanticUndefined

from maskbench.config.parsing.nodes import MappingEntry, Node
from maskbench.config.parsing.problems import Place, ProblemReport
from maskbench.config.resolve.overrides import apply_overrides, parse_set_options
from maskbench.config.resolve.placements import RegistryValidator
from maskbench.config.schema.experiment import CorpusConfig
from maskbench.data.corpus import CorpusBuilder
from maskbench.registry import CORPORA


@dataclass(frozen=True, slots=True)
class CorpusOption:
    """An option of a corpus in the experiment file."""

    name: str
    required: bool
    default: Any
    """The default; None if the option is required."""
    takes: str
    """Allowed values in words: `a, b or c`, `1 to 200,000`; empty if the description says it."""
    description: str


@dataclass(frozen=True, slots=True)
class CorpusEntry:
    """The name, description and options of a corpus."""

    name: str
    description: str
    """One sentence on the corpus."""
    options: tuple[CorpusOption, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the entry as plain data."""
        return asdict(self)


def list_corpora() -> list[CorpusEntry]:
    """Return the entries of all corpora, sorted by name."""
    return [describe_corpus(name) for name in CORPORA.names()]


def describe_corpus(name: str) -> CorpusEntry:
    """Return the entry of one corpus.

    Raises:
        ConfigError: there is no corpus of that name; the message has the nearest name.
    """
    builder: type[CorpusBuilder] = CORPORA.lookup(name)
    sentence = inspect.cleandoc(builder.__doc__ or "").partition("\n\n")[0]
    return CorpusEntry(name, " ".join(sentence.split()), _options(builder))


def _options(builder: type[CorpusBuilder]) -> tuple[CorpusOption, ...]:
    schema = builder.Options.model_json_schema()["properties"]
    found = []
    for name, field in builder.Options.model_fields.items():
        default = field.get_default(call_default_factory=True)
        found.append(
            CorpusOption(
                name=name,
                required=field.is_required(),
                default=None if default is PydanticUndefined else default,
                takes=_takes(schema.get(name, {})),
                description=field.description or "",
            )
        )
    return tuple(found)


def _takes(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        *first, last = map(str, field["enum"])
        return f"{', '.join(first)} or {last}" if first else last
    low, high = field.get("minimum"), field.get("maximum")
    if low is None:
        return "" if high is None else f"at most {high:,}"
    return f"{low:,} to {high:,}" if high is not None else f"at least {low:,}"


def parse_corpus_config(name: str, settings: Sequence[str]) -> CorpusConfig:
    """Return the config of a corpus from its name and `--set` options, validated as in an experiment file.

    Args:
        settings: `option=value`, the value in YAML.

    Raises:
        ConfigError: there is no such corpus, or an option is wrong or missing.
    """
    CORPORA.lookup(name)
    report = ProblemReport(name)
    place = Place(f"{name} (its options: --set OPTION=VALUE)")
    changes = parse_set_options(settings, report)
    for change in changes:
        if change.root == "name":
            report.add(change.key_place, "give the name of the corpus as the argument")
    report.raise_if_any()
    written = Node(place, {"name": MappingEntry(place, Node(place, name))})
    found = RegistryValidator(report).corpus(apply_overrides(written, changes, report))
    report.raise_if_any()
    assert found is not None  # or there was a problem to report
    return found
