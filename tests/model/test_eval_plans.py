"""What a run keeps of its own masks where it is evaluated under others'."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_runs import config
from torch import Tensor

from maskbench.config.load import dump_resolved, load_experiment, load_resolved
from maskbench.config.schema.experiment import RunConfig
from maskbench.data import load_corpus
from maskbench.data.batches import collate
from maskbench.errors import ConfigError
from maskbench.masks.clock import Clock
from maskbench.model.eval_plans import build_eval_plans, list_soft_masks_off, use_mask_plan
from maskbench.model.transformer import EncoderDecoder, build_model

T5 = {"site": "encoder_self", "mask": "t5_bias", "options": {"buckets": 6, "max_distance": 5}}
GATE = {"site": "memory", "mask": "learned_gate"}
ALIBI = {"site": "decoder_self", "mask": "alibi", "options": {"scale": 3.0}}
WINDOW = {"site": "encoder_self", "mask": "window", "options": {"radius": 1}}
WIDE = {"site": "encoder_self", "mask": "window", "options": {"radius": 2}}
CROSS = {"site": "cross", "mask": "diagonal", "options": {"width": 0}}
ENTMAX = {"site": "encoder_self", "mask": "entmax"}

LEARNED, SOFT, NOTHING = ("learned_gate", "t5_bias"), ("alibi", "entmax", "learned_gate", "t5_bias"), ()


def settings(own: list[Any], lent: list[Any], keep: tuple[str, ...]) -> RunConfig:
    evaluate = {"splits": ["test"], "metrics": ["nll"], "masks": ["own", "lent"], "keep": list(keep)}
    return config(masks=own, under={"lent": lent}, evaluate=evaluate)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def build(run: RunConfig, cache: Path) -> EncoderDecoder:
    """A model whose weights, learned masks among them, are random numbers that only a parameter's name decides."""
    model = build_model(run, load_corpus(run.corpus, cache), 3).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            generator = torch.Generator().manual_seed(sum(map(ord, name)))
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def logits(model: EncoderDecoder, run: RunConfig, cache: Path) -> Tensor:
    corpus = load_corpus(run.corpus, cache)
    batch = collate(corpus.splits["test"], np.arange(5))
    with torch.no_grad():
        found: Tensor = model(batch, Clock.evaluation(12, 12))
    return found


CASES = {
    "hiding masks alone change places": ([T5, WINDOW, GATE], [CROSS], LEARNED, [T5, CROSS, GATE]),
    "no masks hide nothing": ([WINDOW, T5], [], LEARNED, [T5]),
    "a fixed bias is exchanged": ([T5, ALIBI, WINDOW], [WIDE], LEARNED, [T5, WIDE]),
    "a fixed bias is kept": ([T5, ALIBI, WINDOW], [WIDE], SOFT, [T5, ALIBI, WIDE]),
    "soft masks are not lent to soft masks": ([GATE], [ALIBI, ENTMAX, WIDE], SOFT, [GATE, WIDE]),
    "fixed masks are lent whole": ([GATE], [ALIBI, ENTMAX, WIDE], LEARNED, [GATE, ALIBI, ENTMAX, WIDE]),
    "nothing is kept": ([T5, ALIBI, WINDOW], [WIDE, CROSS], NOTHING, [WIDE, CROSS]),
    "its own arm's masks": ([WINDOW, T5, ALIBI, GATE], [WINDOW, T5, ALIBI, GATE], LEARNED, None),
    "one that is named": ([T5, ALIBI, WINDOW], [WIDE], ("alibi",), [ALIBI, WIDE]),
}


@pytest.mark.parametrize(("own", "lent", "keep", "acting"), CASES.values(), ids=CASES)
def test_the_logits_are_those_of_a_model_built_with_the_masks_that_act(
    own: list[Any], lent: list[Any], keep: tuple[str, ...], acting: list[Any] | None, cache: Path
) -> None:
    run = settings(own, lent, keep)
    model = build(run, cache)
    before = logits(model, run, cache)
    plans = build_eval_plans(run, load_corpus(run.corpus, cache), 3)
    with use_mask_plan(model, plans["lent"]):
        found = logits(model, run, cache)
    expected = config(masks=own if acting is None else acting)
    assert torch.equal(found, logits(build(expected, cache), expected, cache))
    assert torch.equal(logits(model, run, cache), before)
    assert torch.equal(found, before) == (acting is None)


def test_what_is_kept_is_the_trained_tensor_itself(cache: Path) -> None:
    run = settings([T5, WINDOW], [CROSS], LEARNED)
    model = build(run, cache)
    own = {name: id(p) for name, p in model.named_parameters() if name.startswith("masks.")}
    assert len(own) == 1
    with use_mask_plan(model, build_eval_plans(run, load_corpus(run.corpus, cache), 3)["lent"]):
        assert {n: id(p) for n, p in model.named_parameters() if n.startswith("masks.")} == own


REFUSED = {
    "learned masks nobody trained": ([WINDOW], [WIDE, T5], NOTHING, "t5_bias at encoder_self has learned"),
    "an arm of learned masks alone": ([WINDOW], [GATE], LEARNED, "learned_gate at memory has learned"),
    "an arm of soft masks alone": (
        [WINDOW],
        [ALIBI],
        SOFT,
        "lent lends nothing: alibi at decoder_self is among the masks that evaluate.keep does not exchange",
    ),
    "two normalisers": ([ENTMAX, T5], [ENTMAX | {"mask": "topk", "options": {"k": 2}}], SOFT, "normaliser"),
}


@pytest.mark.parametrize(("own", "lent", "keep", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_lent_is_refused(
    own: list[Any], lent: list[Any], keep: tuple[str, ...], message: str, cache: Path
) -> None:
    run = settings(own, lent, keep)
    with pytest.raises(ConfigError, match=message) as refused:
        build_eval_plans(run, load_corpus(run.corpus, cache), 3)
    assert refused.value.key == "evaluate.masks"


def test_the_soft_masks_that_are_off_are_listed_and_no_others() -> None:
    trained_only = ALIBI | {"phases": ["train"]}
    own = [T5, ALIBI, WINDOW, trained_only | {"site": "encoder_self"}]
    assert list_soft_masks_off(settings(own, [WIDE], LEARNED)) == {"lent": ["alibi at decoder_self"]}
    both = ["t5_bias at encoder_self", "alibi at decoder_self"]
    assert list_soft_masks_off(settings(own, [WIDE], NOTHING)) == {"lent": both}
    for lent, keep in (([WIDE], SOFT), ([ALIBI], LEARNED)):
        assert list_soft_masks_off(settings(own[:3], lent, keep)) == {}


FILE = """\
name: kept
seeds: [0]
corpus: {{name: copy, pairs: 64, valid: 8, test: 8, symbols: 7, max_length: 5}}
model: {{d_model: 12, n_heads: 3, encoder_layers: 1, decoder_layers: 1, d_ff: 20}}
evaluate: {{masks: [own, window{also}]{keep}}}
arms:
  none: []
  rel: [{{site: encoder_self, mask: t5_bias, buckets: 6, max_distance: 5}}]
  far: [{{site: encoder_self, mask: alibi}}]
  window: [{{site: encoder_self, mask: window, radius: 1}}]
"""


def load(folder: Path, keep: str, also: str = "") -> Any:
    path = folder / "kept.yaml"
    path.write_text(FILE.format(keep=f", keep: {keep}" if keep else "", also=also), encoding="utf-8")
    return load_experiment(path)


WORDS = {
    "": ("t5_bias",),
    "learned": ("t5_bias",),
    "soft": ("alibi", "t5_bias"),
    "nothing": (),
    "[]": (),
    "[window]": ("window",),
    "[t5_bias, alibi]": ("alibi", "t5_bias"),
}


@pytest.mark.parametrize(("word", "names"), WORDS.items())
def test_a_word_stands_for_masks_and_a_resolved_file_names_them(
    word: str, names: tuple[str, ...], tmp_path: Path
) -> None:
    experiment = load(tmp_path, word)
    configs = {arm.name: arm.config for arm in experiment.panels[0].arms}
    assert all(found.evaluate.keep == names for found in configs.values())
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(dump_resolved(experiment), encoding="utf-8")
    assert load_resolved(resolved) == load_experiment(resolved) == experiment


def test_a_run_is_another_one_only_where_what_it_keeps_matters(tmp_path: Path) -> None:
    identities = {
        word: {arm.name: arm.config.identity() for arm in load(tmp_path, word).panels[0].arms}
        for word in ("nothing", "learned", "soft")
    }
    before = identities["nothing"]
    assert all("keep" not in identity["evaluate"] for identity in before.values())
    differing = {
        word: [arm for arm in before if found[arm] != before[arm]] for word, found in identities.items()
    }
    assert differing == {"nothing": [], "learned": ["rel"], "soft": ["rel", "far"]}
    lent = load(tmp_path, "soft", ", far").panels[0].arms[0].config.identity()
    assert lent["evaluate"]["keep"] == ["alibi"]


def test_a_file_without_other_masks_keeps_its_identity_and_its_text(tmp_path: Path) -> None:
    text = FILE.format(keep=", keep: soft", also="").replace("own, window", "own")
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    experiment = load_experiment(path)
    assert "keep" not in dump_resolved(experiment)
    assert all("keep" not in arm.config.identity()["evaluate"] for arm in experiment.panels[0].arms)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (
            "learnt",
            "evaluate.keep must be learned, soft, nothing, or a list of masks such as [alibi], got 'learnt'",
        ),
        ("3", "evaluate.keep must be learned, soft, nothing"),
        ("[alibbi]", "evaluate.keep: no arm has the mask 'alibbi'; did you mean 'alibi'?"),
        ("[alibi, alibi]", "twice"),
    ],
)
def test_a_wrong_word_is_refused_at_its_place(keep: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, keep)
    assert message in str(refused.value) and "kept.yaml:5:" in str(refused.value)
