"""The base of attention masks that are composed of other attention masks, and the options of their parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from jaxtyping import Bool
from pydantic import BeforeValidator, ConfigDict, Field, SerializeAsAny, model_serializer, model_validator
from torch import Tensor, nn

from maskbench.config.schema.experiment import ModelConfig, PlacementConfig, Refresh
from maskbench.errors import ConfigError, MaskbenchError
from maskbench.masks.base import ATTENTION_SITES, AttentionMask, MaskMod, Strategy, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import Schedule
from maskbench.registry import MASKS, PRESETS, did_you_mean

_OF_THE_PLACEMENT = frozenset(PlacementConfig.model_fields) - {"mask", "options"}


def _flatten_schema(schema: dict[str, Any]) -> None:
    """Change a part's JSON schema to the flat form of the file: `mask` and the options of that strategy."""
    schema.pop("properties", None)
    schema |= {"required": ["mask"], "additionalProperties": True}


class MaskPart(StrategyOptions):
    """A mask and its options, written flat: `{mask: window, radius: 2}`."""

    model_config = ConfigDict(json_schema_extra=_flatten_schema)

    mask: str
    """An attention mask's name, or a preset's; the preset is replaced by its strategy."""
    options: SerializeAsAny[StrategyOptions]
    """The options of that strategy."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:
        if isinstance(data, MaskPart):
            return data
        if not isinstance(data, Mapping) or not isinstance(data.get("mask"), str):
            raise ValueError("must be a mapping that names a mask, such as {mask: window, radius: 2}")
        written = {key: value for key, value in data.items() if key != "mask"}
        misplaced = sorted(_OF_THE_PLACEMENT & written.keys())
        if misplaced:
            raise ValueError(f"{misplaced[0]} belongs to the placement; a part has a mask and its options")
        name, preset = data["mask"], PRESETS.get(data["mask"])
        if preset is not None:
            name, written = preset.mask, {**preset.options, **written}
        # What is wrong with the options keeps its own place in the file: pydantic puts this part's in front.
        return {"mask": name, "options": _attention_mask(name).Options.model_validate(written)}

    @model_serializer
    def _write(self) -> dict[str, Any]:
        return {"mask": self.mask, **self.options.model_dump(mode="json")}

    def schedules(self) -> dict[str, Schedule]:
        """Return the scheduled options by name."""
        return self.options.schedules()

    @property
    def strategy(self) -> type[AttentionMask]:
        """The class of the mask."""
        return _attention_mask(self.mask)

    def as_placement(self, whole: PlacementConfig) -> PlacementConfig:
        """Return the part as a placement of its own, where and when the whole acts."""
        options = self.options.model_dump(mode="json")
        return whole.model_copy(update={"mask": self.mask, "options": options})


def _attention_mask(name: str) -> type[AttentionMask]:
    """Return the attention mask of that name.

    Raises:
        ValueError: there is none, or it learns, and a mask that learns has no way to act through others.
    """
    known = [n for n in MASKS.names() if issubclass(MASKS.lookup(n), AttentionMask)]
    if name not in MASKS.names():
        known += [n for n, preset in PRESETS.items() if preset.mask in known]
        hint = did_you_mean(name, known)
        raise ValueError(f"no attention mask named {name!r}{hint} (known: {', '.join(sorted(known))})")
    strategy: type[Strategy] = MASKS.lookup(name)
    if not issubclass(strategy, AttentionMask):
        raise ValueError(f"{name} is a {strategy.kind}; only attention masks can be parts of another")
    if "parameters" in strategy.depends_on:
        raise ValueError(f"{name} learns; a mask that learns cannot be a part of another")
    return strategy


def _one_or_more(value: Any) -> Any:
    """Read a single part as a list of one."""
    return [value] if isinstance(value, Mapping | MaskPart) else value


MaskParts = Annotated[tuple[MaskPart, ...], Field(strict=False, min_length=1), BeforeValidator(_one_or_more)]
"""One part or more; a single one may be given without the list."""


class CompositeOptions(StrategyOptions):
    """The parts."""

    of: MaskParts
    """The masks it is made of, in any depth: each has `mask` and the options of that strategy."""


class Composite(AttentionMask):
    """An attention mask that is composed of others.

    When it acts and draws anew is set once for the whole, in the placement. Parts draw independently of each other.
    """

    sites = ATTENTION_SITES
    stochastic = True
    default_refresh = Refresh(per="run")

    def __init__(self, options: CompositeOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        parts = [_build_part(part, sizes, site) for part in options.of]
        self.parts = nn.ModuleList(parts)
        self.stochastic = any(p.stochastic for p in parts)
        self.depends_on = frozenset[str]().union(*(p.depends_on for p in parts))
        self.cacheable = all(p.cacheable for p in parts)
        self.sliceable = all(p.sliceable for p in parts)
        self.may_empty_rows = self._may_empty_rows(parts)

    @staticmethod
    def _may_empty_rows(parts: Sequence[AttentionMask]) -> bool:
        return True

    @classmethod
    def check(
        cls, site: str, options: CompositeOptions, placement: PlacementConfig, model: ModelConfig
    ) -> None:
        super().check(site, options, placement, model)
        for i, part in enumerate(options.of):
            try:
                _check_site(part, site)
                cls._check_timing(part, placement)
                part.strategy.check(site, part.options, part.as_placement(placement), model)
            except (ValueError, MaskbenchError) as error:
                raise ValueError(f"of[{i}]: {part.mask}: {error}") from error

    @classmethod
    def _check_timing(cls, part: MaskPart, placement: PlacementConfig) -> None:
        """Refuse a part that by itself would act or draw at other times, unless the placement says when."""
        own = part.strategy
        if placement.phases is None and own.default_phases != cls.default_phases:
            here, there = (f"[{', '.join(phases)}]" for phases in (cls.default_phases, own.default_phases))
            raise ValueError(
                f"by itself it acts in {there}, here in {here}; say which, in the placement's phases"
            )
        if placement.refresh is None and own.stochastic and own.default_refresh != cls.default_refresh:
            raise ValueError(
                "by itself it draws more often than once in a run; say how often here, in the placement's refresh"
            )

    @classmethod
    def check_arm(cls, placement: PlacementConfig, arm: Sequence[PlacementConfig]) -> None:
        super().check_arm(placement, arm)
        for part in cls.parse_options(placement).of:  # type: ignore[attr-defined]
            part.strategy.check_arm(part.as_placement(placement), arm)

    def period(self, options: CompositeOptions) -> int:
        parts = zip(self.parts, options.of, strict=True)
        return max(int(mask.period(part.options)) for mask, part in parts)  # type: ignore[operator]

    def part_patterns(
        self, options: CompositeOptions, ctx: AttentionContext
    ) -> list[Bool[Tensor, "#batch #heads q kv"]]:
        """Return every part's pattern."""
        return [mask.keep(now, own) for mask, now, own in self._parts_with_context(options, ctx)]

    def part_mask_mods(self, options: CompositeOptions, ctx: AttentionContext) -> list[MaskMod]:
        """Return every part's pattern as a function of index tensors."""
        return [mask.mask_mod(now, own) for mask, now, own in self._parts_with_context(options, ctx)]

    def _parts_with_context(
        self, options: CompositeOptions, ctx: AttentionContext
    ) -> list[tuple[AttentionMask, StrategyOptions, AttentionContext]]:
        """Return every part with its options in force and its own context."""
        asked = []
        for i, (mask, part) in enumerate(zip(self.parts, options.of, strict=True)):
            assert isinstance(mask, AttentionMask)
            draws = ctx.draws.part(i) if ctx.draws is not None and mask.stochastic else None
            asked.append((mask, part.options, replace(ctx, draws=draws)))
        return asked

    def part_densities(self, options: CompositeOptions, q_len: int, kv_len: int) -> list[float] | None:
        """Return every part's density, None if one has none in closed form."""
        each = [
            mask.density(part.options, q_len, kv_len)  # type: ignore[operator]
            for mask, part in zip(self.parts, options.of, strict=True)
        ]
        known = [density for density in each if density is not None]
        return known if len(known) == len(each) else None


def _build_part(part: MaskPart, sizes: Sizes, site: str) -> AttentionMask:
    """Build the strategy of a part.

    Raises:
        ConfigError: it does not act at the site, or the corpus lacks what it needs.
    """
    strategy = part.strategy
    try:
        _check_site(part, site)
    except ValueError as error:
        raise ConfigError(f"{part.mask} {error}") from error
    missing = strategy.needs - sizes.facts.annotations
    if missing:
        raise ConfigError(
            f"{part.mask} needs a corpus that marks {' and '.join(sorted(missing))}; this one does not"
        )
    return strategy(part.options, sizes, site)


def _check_site(part: MaskPart, site: str) -> None:
    sites = part.strategy.sites
    if site not in sites:
        raise ValueError(f"does not act at {site} (its sites: {', '.join(sorted(sites))})")
