"""The catalogue: declarations of all strategies and presets as plain data, for tables and documents."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from maskbench.config.schema.experiment import SITES, PlacementConfig
from maskbench.errors import ConfigError
from maskbench.masks.base import Strategy, StrategyOptions
from maskbench.registry import MASKS, PRESETS, Preset, did_you_mean

_SIMPLE = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "mapping",
    "null": "nothing",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """An option of a strategy, as in the experiment file."""

    name: str
    type: str
    """In words: `whole number`, `number`, `text`, `true or false`, the allowed words, `list of ...`."""
    scheduled: bool
    """Whether the value may be a schedule."""
    required: bool
    default: Any
    """The default value as JSON; None where there is none or where it is None."""
    range: str
    """In words: `0 to 1`, `at least 1`; empty where every value of the type is allowed."""
    description: str


@dataclass(frozen=True, slots=True)
class StrategyEntry:
    """A strategy, or a preset of one."""

    name: str
    kind: str
    sites: tuple[str, ...]
    """In the order of the model, inputs first."""
    depends_on: tuple[str, ...]
    """Inputs of the result besides positions: any of annotation, input, length, parameters."""
    learned: bool
    """Whether it has learned parameters."""
    stochastic: bool
    """Whether it uses random draws."""
    oracle: bool
    """Whether it reads gold annotations, which no real task provides."""
    description: str
    """The first paragraph of its docstring."""
    details: str
    """The other paragraphs of its docstring, such as the formula."""
    source: str
    """Paper and year."""
    parameters: tuple[Parameter, ...]
    refresh: Mapping[str, Any] | None
    """The default; None where the strategy sets none."""
    phases: tuple[str, ...]
    """The default."""
    preset_of: str | None
    """The strategy that a preset configures; None for a strategy."""
    settings: Mapping[str, Any]
    """The options that a preset sets; empty for a strategy."""
    example: str
    """A placement as one line of YAML."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry as `maskbench masks --json` prints it."""
        return {
            "name": self.name,
            "kind": self.kind,
            "sites": list(self.sites),
            "depends_on": list(self.depends_on),
            "learned": self.learned,
            "parameters": [asdict(parameter) for parameter in self.parameters],
            "source": self.source,
            "preset_of": self.preset_of,
            "settings": dict(self.settings),
            "description": self.description,
            "stochastic": self.stochastic,
            "oracle": self.oracle,
            "example": self.example,
        }


def list_entries() -> list[StrategyEntry]:
    """Return the entries of all strategies and presets, sorted by name."""
    names = [*MASKS.names(), *PRESETS]
    return [find_entry(name) for name in sorted(names)]


def find_entry(name: str) -> StrategyEntry:
    """Return the entry of a strategy or preset.

    Raises:
        ConfigError: the name is unknown; the message suggests the nearest known name.
    """
    if name in PRESETS:
        return _of_preset(name, PRESETS[name])
    if name not in MASKS.names():
        known = [*MASKS.names(), *PRESETS]
        raise ConfigError(
            f"no mask strategy named {name!r}{did_you_mean(name, known)} (`maskbench masks` lists all)"
        )
    return _of_strategy(name, MASKS.lookup(name))


def example_arm(name: str, site: str, **options: Any) -> tuple[PlacementConfig, ...]:
    """Return the example placement of a strategy or preset at a site, then the placements it requires.

    Args:
        options: override the example's options.
    """
    preset = PRESETS.get(name)
    mask = preset.mask if preset else name
    cls: type[Strategy] = MASKS.lookup(mask)
    given = dict(preset.options) if preset else cls.example.model_dump(mode="json")
    own = PlacementConfig.model_validate({"site": site, "mask": mask, "options": given | options})
    return (own, *cls.example_arm)


def _of_strategy(name: str, cls: type[Strategy]) -> StrategyEntry:
    description, _, details = inspect.cleandoc(cls.__doc__ or "").partition("\n\n")
    sites = tuple(site for site in SITES if site in cls.sites)
    refresh = cls.default_refresh
    written = cls.example.model_dump(mode="json", exclude_unset=True)
    return StrategyEntry(
        name=name,
        kind=cls.kind,
        sites=sites,
        depends_on=tuple(sorted(cls.depends_on)),
        learned="parameters" in cls.depends_on,
        stochastic=cls.stochastic,
        oracle="annotation" in cls.depends_on,
        description=" ".join(description.split()),
        details=details.strip(),
        source=cls.source,
        parameters=describe_options(cls.Options),
        refresh=None if refresh is None else refresh.model_dump(mode="json"),
        phases=cls.default_phases,
        preset_of=None,
        settings={},
        example=placement_line(sites[0], name, written),
    )


def _of_preset(name: str, preset: Preset) -> StrategyEntry:
    base = _of_strategy(preset.mask, MASKS.lookup(preset.mask))
    sites = tuple(site for site in SITES if site in preset.sites)
    values = asdict(base) | {
        "name": name,
        "sites": sites,
        "description": preset.description,
        "details": "",
        "source": preset.source,
        "parameters": base.parameters,
        "preset_of": preset.mask,
        "settings": dict(preset.options),
        "example": placement_line(sites[0], name, {}),
    }
    return StrategyEntry(**values)


def placement_line(site: str, mask: str, options: Mapping[str, Any]) -> str:
    """Return a placement as one line of YAML, in the form of the experiment file."""
    return f"- {to_flow_yaml({'site': site, **_brief({'mask': mask, **options})})}"


def _brief(value: Any) -> Any:
    """Return a placement, or a value in one, without the options that have their default value."""
    if isinstance(value, list | tuple):
        return [_brief(inner) for inner in value]
    if not isinstance(value, Mapping):
        return value
    known = value.get("mask")
    fields = MASKS.lookup(known).Options.model_fields if known in MASKS.names() else {}
    return {k: _brief(v) for k, v in value.items() if k not in fields or not _is_default(fields[k], v)}


def _is_default(field: FieldInfo, value: Any) -> bool:
    if field.is_required():
        return False
    default = field.get_default(call_default_factory=True)
    return bool(value == (default.model_dump(mode="json") if isinstance(default, BaseModel) else default))


def to_flow_yaml(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def describe_options(options: type[StrategyOptions]) -> tuple[Parameter, ...]:
    """Return the options of a strategy, in the order in which its class defines them."""
    schema = options.model_json_schema()
    definitions = schema.get("$defs", {})
    required, described = set(schema.get("required", ())), option_docstrings(options)
    found = []
    for name, field in schema.get("properties", {}).items():
        scheduled, plain = _without_schedule(field)
        found.append(
            Parameter(
                name=name,
                type=_type(plain, definitions),
                scheduled=scheduled,
                required=name in required,
                default=_as_written(field.get("default")),
                range=_range(plain),
                description=described.get(name, ""),
            )
        )
    return tuple(found)


def option_docstrings(options: type[BaseModel]) -> dict[str, str]:
    """Return the docstring of every option, by name, on one line.

    Parsed from the source on demand: pydantic's own option parses the source of every class at import.
    """
    found: dict[str, str] = {}
    for cls in reversed(options.__mro__):
        if issubclass(cls, BaseModel) and cls is not BaseModel:
            found |= _attribute_docstrings(cls)
    return found


# The source of a class does not change while its process runs, and many inherit from the same one.
@cache
def _attribute_docstrings(cls: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):  # no source, or none that stands alone
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    return {
        attribute.target.id: " ".join(text.value.value.split())
        for attribute, text in pairwise(body)
        if isinstance(attribute, ast.AnnAssign)
        and isinstance(attribute.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _as_written(default: Any) -> Any:
    """Return a default as plain JSON."""
    return json.loads(json.dumps(default))


def _without_schedule(field: Mapping[str, Any]) -> tuple[bool, Mapping[str, Any]]:
    """Return whether a schema field allows a schedule, and the field without schedule and `null` types."""
    either = list(field.get("anyOf", ()))
    flat = [inner for one in either for inner in one.get("anyOf", (one,))]
    rest = [one for one in flat if not _is_schedule(one) and one.get("type") != "null"]
    if not flat:
        return False, field
    plain = rest[0] if len(rest) == 1 else {"anyOf": rest}
    return any(map(_is_schedule, flat)), plain


def _is_schedule(field: Mapping[str, Any]) -> bool:
    """Return whether a schema field is a schedule: a mapping of one entry (`schedules.scheduled`)."""
    return field.get("type") == "object" and field.get("maxProperties") == 1


def _type(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return _type(definitions.get(str(field["$ref"]).rpartition("/")[2], {}), definitions)
    if "anyOf" in field or "oneOf" in field:
        parts = [_type(one, definitions) for one in field.get("anyOf", field.get("oneOf", ()))]
        return _or(list(dict.fromkeys(parts)))
    if "enum" in field:
        return _or([str(value) for value in field["enum"]])
    if "const" in field:
        return str(field["const"])
    kind = field.get("type")
    if kind == "array":
        items = field.get("items") or {}
        return f"list of {_plural(_type(items, definitions))}" if items else "list"
    if kind == "object" and field.get("properties"):
        return f"mapping of {', '.join(field['properties'])}"
    return _SIMPLE.get(str(kind), "any value")


def _plural(noun: str) -> str:
    plurals = {"text": "texts", "whole number": "whole numbers", "number": "numbers", "mapping": "mappings"}
    if noun.startswith("mapping of"):
        return f"mappings of{noun.removeprefix('mapping of')}"
    return plurals.get(noun, noun)


def _or(words: Sequence[str]) -> str:
    *first, last = words or ("",)
    return f"{', '.join(first)} or {last}" if first else last


def _range(field: Mapping[str, Any]) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    above, below = field.get("exclusiveMinimum"), field.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    words = [
        f"at least {low:g}" if low is not None else "",
        f"above {above:g}" if above is not None else "",
        f"at most {high:g}" if high is not None else "",
        f"below {below:g}" if below is not None else "",
        f"{field['minItems']} or more" if field.get("minItems") else "",
    ]
    return ", ".join(word for word in words if word)
