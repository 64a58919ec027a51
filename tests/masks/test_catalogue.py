"""What the catalogue says of every strategy, against what the strategies are."""

from __future__ import annotations

import json

import pytest
import yaml
from pydantic import Field

import maskbench.masks  # noqa: F401  (fills the registry)
from maskbench.errors import ConfigError
from maskbench.masks.base import StrategyOptions
from maskbench.masks.catalogue import Parameter, describe_options, find_entry, list_entries
from maskbench.masks.schedules import Count, Ratio
from maskbench.registry import MASKS, PRESETS

NAMES = [*MASKS.names(), *PRESETS]


class Inner(StrategyOptions):
    """A mapping."""

    low: float = 0.0
    """Low."""


class Everything(StrategyOptions):
    """One option of every sort."""

    share: Ratio
    """A share,
    told over two lines."""
    many: Count | None = None
    """How many."""
    word: str = "x"
    """A word."""
    words: list[str] = Field(min_length=1)
    """Words."""
    flag: bool = True
    """A flag."""
    inner: Inner = Inner()
    """A mapping."""
    depth: int = Field(3, ge=1, le=9)
    """A depth."""
    positive: float = Field(1.5, gt=0)
    """Above nothing."""


def test_an_option_is_described_in_words() -> None:
    found = {parameter.name: parameter for parameter in describe_options(Everything)}
    assert list(found) == ["share", "many", "word", "words", "flag", "inner", "depth", "positive"]
    assert found["share"] == Parameter(
        "share", "number", True, True, None, "0 to 1", "A share, told over two lines."
    )
    assert found["many"] == Parameter("many", "whole number", True, False, None, "at least 1", "How many.")
    assert found["words"] == Parameter("words", "list of texts", False, True, None, "1 or more", "Words.")
    assert found["flag"].type == "true or false" and found["flag"].default is True
    assert found["inner"].type == "mapping of low" and found["inner"].default == {"low": 0.0}
    assert (found["depth"].range, found["depth"].default) == ("1 to 9", 3)
    assert found["positive"].range == "above 0"


@pytest.mark.parametrize("name", NAMES)
def test_everything_a_reader_asks_is_there(name: str) -> None:
    found = find_entry(name)
    assert found.description and found.source and found.sites
    undescribed = [parameter.name for parameter in found.parameters if not parameter.description]
    assert not undescribed
    assert not [parameter.name for parameter in found.parameters if parameter.type == ""]
    assert found.oracle == ("annotation" in found.depends_on)


@pytest.mark.parametrize("name", NAMES)
def test_the_json_of_an_entry_has_the_promised_keys(name: str) -> None:
    document = json.loads(json.dumps(find_entry(name).to_json()))
    promised = {"name", "kind", "sites", "depends_on", "learned", "parameters", "source"}
    assert promised <= document.keys()
    assert {"preset_of", "description", "stochastic", "oracle"} <= document.keys()


@pytest.mark.parametrize("name", MASKS.names())
def test_the_example_line_is_yaml_that_gives_the_example_again(name: str) -> None:
    (placement,) = yaml.safe_load(find_entry(name).example)
    site, mask = placement.pop("site"), placement.pop("mask")
    cls = MASKS.lookup(name)
    assert mask == name and site in cls.sites
    assert cls.Options.model_validate(placement) == cls.example


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_says_what_it_is_a_preset_of(name: str) -> None:
    found = find_entry(name)
    assert found.preset_of == PRESETS[name].mask
    assert found.settings == PRESETS[name].options
    assert set(found.sites) <= set(find_entry(found.preset_of).sites)


def test_entries_are_all_there_in_order() -> None:
    assert [found.name for found in list_entries()] == sorted(NAMES)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'window'"):
        find_entry("windwo")
