from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from config_helpers import COMBINED, FULL, MINIMAL, load, load_path
from hypothesis import given
from hypothesis import strategies as st

from maskbench.config.load import dump_resolved, load_resolved
from maskbench.config.resolve.panels import list_differing_keys
from maskbench.config.schema.experiment import (
    ArmConfig,
    CompareConfig,
    CorpusConfig,
    EvaluateConfig,
    Experiment,
    ModelConfig,
    PanelConfig,
    PlacementConfig,
    Refresh,
    RunConfig,
    TrainConfig,
)
from maskbench.errors import ConfigError

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,9}", fullmatch=True).filter(
    lambda n: n not in ("con", "nul", "aux", "prn")
)
# Words that a careless writer leaves unquoted and a reader takes for something else.
TRAPS = st.sampled_from(
    [
        "1e-3",
        "010",
        "10",
        "no",
        "true",
        "null",
        "~",
        "<<",
        "1:30",
        "0x1f",
        ".inf",
        "",
        " a ",
        "# a",
        "*a",
        "!a",
        "a: b",
    ]
)
TEXTS = TRAPS | st.text("aé\n\t'\":#-\x1b\u2028€😀", max_size=6)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
OPTIONS = st.dictionaries(
    st.sampled_from(["ratio", "no", "1", "x_y"]),
    SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(TEXTS, SCALARS, max_size=2),
    max_size=3,
)
PLACEMENTS = st.builds(
    PlacementConfig,
    site=st.sampled_from(["encoder_self", "logits"]),
    mask=TEXTS.filter(bool),
    layers=st.just("all") | st.sets(st.integers(0, 5), min_size=1).map(sorted),
    phases=st.sampled_from([None, ("train",), ("train", "eval")]),
    refresh=st.none()
    | st.builds(Refresh, per=st.just("step"), variants=st.just("unlimited") | st.integers(1, 9)),
    apply=st.sampled_from(["hard", "raw"]),
    legality=st.sampled_from(["full", "none"]),
    unsafe=st.booleans(),
    freeze_at=st.none() | st.floats(0, 1),
    options=OPTIONS,
)
STARTS = st.fixed_dictionaries(
    {},
    optional={
        "init_from": st.sampled_from(["runs/a/none", "010", "~", "no", "a: b"]),
        "train_only": st.lists(TRAPS.filter(bool), min_size=1, max_size=3, unique=True).map(tuple),
    },
)
LENGTHS: st.SearchStrategy[dict[str, Any]] = st.builds(dict, steps=st.integers(1, 3)) | st.builds(
    dict, epochs=st.integers(1, 3)
)


def merged(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return train settings of which the last length counts."""
    result: dict[str, Any] = {}
    for part in parts:
        if part.keys() & {"steps", "epochs"}:
            result = {key: value for key, value in result.items() if key not in ("steps", "epochs")}
        result |= part
    return result


@st.composite
def experiments(draw: st.DrawFn) -> Experiment:
    """Draw an experiment as a file could say it: shared settings, then a panel's, then an arm's own."""
    train = st.fixed_dictionaries({}, optional={"lr": st.floats(1e-6, 1), "warmup_steps": st.integers(0, 3)})
    own = st.builds(merged, train, st.just({}) | LENGTHS)
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    arms = {
        name: (
            draw(own),
            draw(st.sampled_from([{}, {"dropout": 0.25}])),
            draw(st.lists(PLACEMENTS, max_size=2)),
            draw(NAMES),
            draw(STARTS),
        )
        for name in names
    }
    titles = draw(
        st.lists(
            st.from_regex(r"[a-z(=,é]{1,9}", fullmatch=True),
            min_size=len(names),
            max_size=len(names),
            unique=True,
        )
    )
    baseline = draw(st.sampled_from(names))
    several: st.SearchStrategy[list[str | None]] = st.lists(NAMES, min_size=1, max_size=3, unique=True)
    panel_names = draw(st.just([None]) | several)
    panels = []
    for panel_name in panel_names:
        shared, corpus = draw(own), CorpusConfig(name=draw(TEXTS), options=draw(OPTIONS))
        evaluate = EvaluateConfig(splits=("test",), metrics=("bleu",), lowercase=draw(st.booleans()))
        configs = [
            RunConfig(
                corpus=corpus,
                model=ModelConfig.model_validate(model),
                train=TrainConfig.model_validate(merged(shared, arm)),
                evaluate=evaluate,
                masks=tuple(masks),
                streams=streams,
                **start,
            )
            for arm, model, masks, streams, start in arms.values()
        ]
        against = configs[names.index(baseline)]
        built = [
            ArmConfig(
                name=name, title=title, config=config, also_different=list_differing_keys(config, against)
            )
            for name, title, config in zip(names, titles, configs, strict=True)
        ]
        panels.append(PanelConfig(name=panel_name, arms=tuple(built), baseline=baseline))
    return Experiment(
        name=draw(NAMES),
        seeds=tuple(draw(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True))),
        compare=CompareConfig(metric="test/bleu", min_effect=draw(st.none() | st.floats(0.001, 5))),
        panels=tuple(panels),
        question=draw(st.lists(st.text("why? #é:", max_size=5).map(str.strip), max_size=3).map("\n".join)),
    )


@given(experiments())
def test_a_resolved_file_loads_to_an_equal_experiment(
    tmp_path_factory: pytest.TempPathFactory, experiment: Experiment
) -> None:
    path = tmp_path_factory.getbasetemp() / "resolved.yaml"
    path.write_text(dump_resolved(experiment), encoding="utf-8")
    assert load_resolved(path) == experiment


@pytest.mark.parametrize("text", [MINIMAL, FULL, COMBINED])
@pytest.mark.parametrize("quick", [False, True])
def test_a_resolved_file_is_itself_an_experiment_file(text: str, quick: bool, tmp_path: Path) -> None:
    experiment = load(tmp_path, text, quick=quick, overrides=["train.lr=0.125"])
    path = tmp_path / "resolved.yaml"
    path.write_text(dump_resolved(experiment), encoding="utf-8")
    assert load_path(path) == experiment
    assert load_resolved(path) == experiment
    assert dump_resolved(load_resolved(path)) == path.read_text(encoding="utf-8")


def test_the_question_stays_at_the_top(tmp_path: Path) -> None:
    text = dump_resolved(load(tmp_path, FULL))
    assert text.startswith("# Does a window help?\n#\n# And is a narrow one better?\nname: windows\n")


def test_a_damaged_resolved_file_is_a_config_error(tmp_path: Path) -> None:
    path = tmp_path / "resolved.yaml"
    path.write_text(dump_resolved(load(tmp_path, FULL)).replace("d_model: 12", "d_model: x"))
    with pytest.raises(ConfigError, match=r"model\.d_model must be a whole number"):
        load_resolved(path)


def test_panels_with_other_arms_cannot_be_written(tmp_path: Path) -> None:
    first, second = load(tmp_path, FULL).panels
    broken = load(tmp_path, FULL).model_copy(
        update={"panels": (first, second.model_copy(update={"arms": second.arms[:2]}))}
    )
    with pytest.raises(ValueError, match="has other arms"):
        dump_resolved(broken)


def test_loading_needs_no_torch_and_no_plug_in(tmp_path: Path) -> None:
    path = tmp_path / "resolved.yaml"
    path.write_text(dump_resolved(load(tmp_path, FULL)), encoding="utf-8")
    code = (
        "import sys, pathlib; from maskbench.config.load import load_resolved; "
        f"load_resolved(pathlib.Path({str(path)!r})); "
        "sys.exit(any(m.split('.')[0] in ('torch', 'numpy', 'scipy') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
