"""Scores of texts that hardly are texts: what sacreBLEU says of them, what has no value, and the sentence that says why."""

from __future__ import annotations

from typing import NamedTuple, get_args

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from maskbench.config.schema.experiment import CorpusConfig, RunConfig
from maskbench.config.schema.metrics import find_metric
from maskbench.config.schema.sections import BleuTokenizer, EvaluateConfig
from maskbench.metrics.base import TranslationMetric
from maskbench.metrics.text_scores import text_scores
from maskbench.registry import METRICS

OF_TEXTS = ["exact_match", "bleu", "chrf"]
CHINESE = ["我喜欢吃苹果和香蕉因为它们很甜", "今天天气很好我们去公园玩吧", "他昨天买了一本新书给妹妹看"]
JAPANESE = ["私はりんごとバナナを食べるのが好きです", "今日は天気がいいので公園へ遊びに行きましょう"]
THAI = ["ฉันชอบกินแอปเปิลและกล้วยเพราะมันหวานมาก", "วันนี้อากาศดีเราไปเล่นที่สวนสาธารณะกันเถอะ"]
KOREAN = ["나는 사과와 바나나를 먹는 것을 좋아한다", "오늘은 날씨가 좋으니 공원에 놀러 가자"]
ENGLISH = ["the cat sat on the mat today", "two dogs bark at a tall tree, loudly"]


class Texts(NamedTuple):
    """Translations and references, and the metrics that have no value for them."""

    hypotheses: list[str]
    references: list[str]
    undefined: list[str]
    said: str = ""
    """What some remark has to contain."""


DEGENERATE = {
    "no sentence": Texts([], [], OF_TEXTS, "no sentences"),
    "one empty pair": Texts([""], [""], OF_TEXTS, "the only reference is empty"),
    "all references empty": Texts(["a b", ""], ["", " "], OF_TEXTS, "all 2 references are empty"),
    "nothing said, nothing meant": Texts([""] * 3, ["", "\u2003", "\t"], OF_TEXTS, "all 3 references"),
    "some references empty": Texts(["", "a b c d"], ["", "a b c d"], []),
    "nothing said": Texts(["", ""], ["a b c d", "e f"], [], "no translation has 4 tokens"),
    "one token": Texts(["a"], ["a"], [], "no reference has 4 tokens"),
    "short and perfect": Texts(
        ["ja", "drei vier fünf"], ["ja", "drei vier fünf"], [], "no reference has 4 tokens"
    ),
    "short beside long": Texts(["a b", "c d e f"], ["a b", "c d e f"], []),
    "unknown words only": Texts(["<unk> <unk>"], ["ein Hund"], [], "no reference has 4 tokens"),
    "Chinese": Texts(CHINESE, CHINESE, [], "evaluate.bleu_tokenize: zh"),
    "Japanese": Texts(JAPANESE, JAPANESE, [], "evaluate.bleu_tokenize: char"),
    "Thai": Texts(THAI, THAI, [], "evaluate.bleu_tokenize: char"),
    "Korean": Texts(KOREAN, KOREAN, []),
    "Korean without blanks": Texts(
        [line.replace(" ", "") for line in KOREAN * 2],
        [line.replace(" ", "") + "그리고집에돌아오자" for line in KOREAN * 2],
        [],
        "evaluate.bleu_tokenize: char",
    ),
    "subwords": Texts(["HA@@ US BA@@ UM ."] * 2, ["HA@@ US BA@@ UM ."] * 2, [], "subword-nmt (@@)"),
    "pieces": Texts(["▁der ▁Hun d ▁lief"], ["▁der ▁Hun d ▁lief"], [], "SentencePiece"),
    "tokens": Texts(
        ["der Hund lief los ."] * 12, ["der Hund lief los ."] * 12, [], "blank before their full stop"
    ),
    "plain": Texts(ENGLISH, ENGLISH, []),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_what_has_no_value_says_why_and_the_rest_is_sacrebleus(case: str):
    hypotheses, references, undefined, said = DEGENERATE[case]
    found = text_scores(hypotheses, references, OF_TEXTS)
    assert [name for name, value in found.values.items() if value is None] == undefined
    assert list(found.undefined) == undefined and list(found.signatures) == OF_TEXTS
    if said:
        assert any(said in remark for remark in found.remarks), found.remarks
    else:
        assert found.remarks == ()
    if not undefined:
        assert found.values["bleu"] == sacrebleu.corpus_bleu(hypotheses, [references], force=True).score
        assert found.values["chrf"] == sacrebleu.corpus_chrf(hypotheses, [references]).score
        same = sum(a == b for a, b in zip(hypotheses, references, strict=True))
        assert found.values["exact_match"] == same / len(references)


@pytest.mark.parametrize("name", [n for n in METRICS if isinstance(find_metric(n), TranslationMetric)])
def test_no_metric_of_texts_breaks_where_it_has_no_value(name: str):
    metric = find_metric(name)
    assert isinstance(metric, TranslationMetric)
    for hypotheses, references, undefined, _ in DEGENERATE.values():
        assert 0 <= metric.score(hypotheses, references) <= 100.000001
        assert (metric.why_undefined(hypotheses, references) is None) == (not undefined)
    with pytest.raises(ValueError, match="1 hypotheses, but 0 references"):
        metric.why_undefined(["a"], [])


@pytest.mark.parametrize("tokenizer", get_args(BleuTokenizer))
@pytest.mark.parametrize("lines", [CHINESE, JAPANESE, THAI, KOREAN, ENGLISH], ids=len)
def test_every_tokeniser_is_sacrebleus_own(tokenizer: str, lines: list[str]):
    hypotheses = [line[:5] + "错" + line[6:] for line in lines]
    found = text_scores(hypotheses, lines, ["bleu"], bleu_tokenize=tokenizer)
    theirs = sacrebleu.BLEU(tokenize=tokenizer, force=True)
    assert found.values["bleu"] == theirs.corpus_score(hypotheses, [lines]).score
    assert found.signatures["bleu"] == str(theirs.get_signature())
    assert f"|tok:{tokenizer}|" in found.signatures["bleu"]
    metric = find_metric("bleu")
    assert isinstance(metric, TranslationMetric)
    counts = metric.with_tokenizer(tokenizer).count_texts(hypotheses, lines)
    assert metric.score_counts(__import__("numpy").array(counts, float).sum(0)) == pytest.approx(
        found.values["bleu"]
    )


@pytest.mark.parametrize(
    ("lines", "tokenizer", "advice"),
    [
        (CHINESE, "13a", "zh"),
        (CHINESE, "intl", "zh"),
        (CHINESE, "none", "zh"),
        (CHINESE, "zh", None),
        (CHINESE, "char", None),
        (JAPANESE, "13a", "char"),
        (JAPANESE, "char", None),
        (THAI, "13a", "char"),
        (THAI, "zh", "char"),
        (KOREAN, "13a", None),
        (ENGLISH, "13a", None),
        (["我 喜欢 吃 苹果 和 香蕉", "今天 天气 很 好"], "13a", None),
        (["the word 苹果 means apple", "she said 你好 to me"], "13a", None),
        (["Donaudampfschifffahrt ist ein langes Wort", "Straßenbahnhaltestelle auch"], "13a", None),
    ],
)
def test_a_tokeniser_that_cannot_cut_the_text_is_named_with_a_better_one(
    lines: list[str], tokenizer: str, advice: str | None
):
    remarks = text_scores(lines, lines, ["bleu", "chrf"], bleu_tokenize=tokenizer).remarks
    named = [remark for remark in remarks if "evaluate.bleu_tokenize" in remark]
    assert [remark.partition("evaluate.bleu_tokenize: ")[2].split()[0] for remark in named] == (
        [advice] if advice else []
    )
    assert all(f"bleu_tokenize {tokenizer} " in remark for remark in named)


def test_the_default_tokeniser_leaves_signatures_and_identities_as_they_were():
    metric = find_metric("bleu")
    assert isinstance(metric, TranslationMetric)
    assert (
        metric.signature() == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"
    )
    corpus = CorpusConfig(name="copy")
    plain = RunConfig(corpus=corpus)
    assert "bleu_tokenize" not in plain.identity()["evaluate"]
    assert (
        RunConfig(corpus=corpus, evaluate=EvaluateConfig(bleu_tokenize="13a")).identity() == plain.identity()
    )
    chinese = RunConfig(corpus=corpus, evaluate=EvaluateConfig(bleu_tokenize="zh"))
    assert chinese.identity()["evaluate"]["bleu_tokenize"] == "zh"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=4))
def test_any_text_has_values_or_reasons(pairs: list[tuple[str, str]]):
    hypotheses, references = [a for a, _ in pairs], [b for _, b in pairs]
    found = text_scores(hypotheses, references, OF_TEXTS)
    for name, value in found.values.items():
        assert (value is None) == (name in found.undefined)
        assert value is None or 0 <= value <= 100.000001
    assert bool(found.undefined) == (not any(r.strip() for r in references))
