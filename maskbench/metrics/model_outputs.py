"""A model's outputs on the splits of a corpus; each pass over a split runs once for all metrics."""

from __future__ import annotations

from collections.abc import Sequence

from maskbench.config.schema.sections import DEFAULT_BLEU_TOKENIZER, DecodeConfig
from maskbench.data.corpus import Corpus, Split
from maskbench.masks.clock import Clock
from maskbench.metrics.attention_statistics import AttentionStatistics, collect_attention
from maskbench.metrics.teacher_forcing import TeacherForcedScores, score_teacher_forced
from maskbench.metrics.translation import CutOff, ScoredText, TranslationResult, translate
from maskbench.model.transformer import EncoderDecoder


class ModelOutputs:
    """Outputs of a model with its present weights, computed on first use and cached."""

    def __init__(
        self,
        model: EncoderDecoder,
        corpus: Corpus,
        clock: Clock,
        *,
        decode: DecodeConfig | None = None,
        lowercase: bool = False,
        bleu_tokenize: str = DEFAULT_BLEU_TOKENIZER,
        by: Sequence[str] = (),
    ) -> None:
        """Create without computing anything.

        Args:
            clock: of phase "eval"; schedules and draws read it.
            decode: settings of the search for translations.
            lowercase: whether metrics of translations ignore case.
            bleu_tokenize: how BLEU cuts text into tokens (`EvaluateConfig.bleu_tokenize`).
            by: the requested kinds of slices (`maskbench.config.schema.metrics.SliceKind`).
        """
        self.model, self.corpus, self.clock = model, corpus, clock
        self.decode = decode or DecodeConfig()
        self.lowercase, self.bleu_tokenize, self.by = lowercase, bleu_tokenize, tuple(by)
        self.signatures: dict[str, str] = {}
        """How each computed metric was computed, by metric name; only equal signatures are comparable."""
        self.undefined: dict[str, str] = {}
        """Why a metric that was asked for has no value, as a clause, by `split/metric` or its slice."""
        self.remarks: dict[str, list[str]] = {}
        """What the value of a metric does not say, as clauses, by `split/metric` or its slice."""
        self._teacher_forced: dict[str, TeacherForcedScores] = {}
        self._translations: dict[str, TranslationResult] = {}
        self._greedy: dict[str, TranslationResult] = {}
        """Greedy translations by split, where `decode` asks for beam search."""
        self._attention: dict[str, AttentionStatistics] = {}

    def add_remark(self, name: str, remark: str) -> None:
        """Add a clause to the remarks on the value `name`, once."""
        remarks = self.remarks.setdefault(name, [])
        if remark not in remarks:
            remarks.append(remark)

    def split(self, name: str) -> Split:
        """Return a split of the corpus."""
        return self.corpus.splits[name]

    def teacher_forced(self, split: str) -> TeacherForcedScores:
        """Return the teacher-forced scores of every gold target token of a split."""
        if split not in self._teacher_forced:
            self._teacher_forced[split] = score_teacher_forced(self.model, self.split(split), self.clock)
        return self._teacher_forced[split]

    def translations(self, split: str) -> TranslationResult:
        """Return the model's translations of a split."""
        if split not in self._translations:
            self._translations[split] = translate(
                self.model, self.corpus, split, self.clock, decode=self.decode
            )
        return self._translations[split]

    def greedy_translations(self, split: str) -> TranslationResult:
        """Return the model's greedy translations of a split, also where `decode` asks for beam search."""
        if self.decode.beam_size == 1:
            return self.translations(split)
        if split not in self._greedy:
            alone = self.decode.model_copy(update={"beam_size": 1, "n_best": 1})
            self._greedy[split] = translate(self.model, self.corpus, split, self.clock, decode=alone)
        return self._greedy[split]

    def attention(self, split: str) -> AttentionStatistics:
        """Return the statistics of the model's attention on a split."""
        if split not in self._attention:
            self._attention[split] = collect_attention(self.model, self.split(split), self.clock)
        return self._attention[split]

    @property
    def hypotheses(self) -> dict[str, list[str]]:
        """The translations computed so far, by split."""
        return {split: said.hypotheses for split, said in self._translations.items()}

    @property
    def cut_off(self) -> dict[str, CutOff]:
        """By split: how many of the translations computed so far were cut off, if any was."""
        return {
            split: CutOff(int(said.cut_off.sum()), len(said.cut_off))
            for split, said in self._translations.items()
            if said.cut_off.any()
        }

    @property
    def n_best(self) -> dict[str, list[list[ScoredText]]]:
        """By split: the n best translations of every sentence with scores, if `decode.n_best` > 1."""
        return {split: said.n_best for split, said in self._translations.items() if said.n_best}

    def is_scored_and_greedily_translated(self, split: str) -> bool:
        """Return whether a split has both teacher-forced scores and greedy translations so far."""
        greedy = self._translations if self.decode.beam_size == 1 else self._greedy
        return split in self._teacher_forced and split in greedy
