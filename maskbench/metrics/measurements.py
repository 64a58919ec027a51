"""What a model does on the splits of a corpus: each pass over a split is made once, however many metrics read it."""

from __future__ import annotations

from collections.abc import Sequence

from maskbench.config.schema.sections import DecodeConfig
from maskbench.data.corpus import Corpus, Split
from maskbench.masks.clock import Clock
from maskbench.metrics.attended import Attended, look
from maskbench.metrics.forced import Forced, force
from maskbench.metrics.translation import Said, translate
from maskbench.model.transformer import EncoderDecoder


class Measurements:
    """A model as it is now, and what was seen of it."""

    def __init__(
        self,
        model: EncoderDecoder,
        corpus: Corpus,
        clock: Clock,
        *,
        decode: DecodeConfig | None = None,
        lowercase: bool = False,
        by: Sequence[str] = (),
    ) -> None:
        """Prepare; nothing is computed yet.

        Args:
            clock: where schedules stand; its phase is "eval".
            decode: how translations are searched.
            lowercase: whether the metrics of translations ignore case.
            by: the kinds of slices wanted (`maskbench.config.schema.metrics.SliceKind`).
        """
        self.model, self.corpus, self.clock = model, corpus, clock
        self.decode = decode or DecodeConfig()
        self.lowercase, self.by = lowercase, tuple(by)
        self.signatures: dict[str, str] = {}
        """How a metric was computed, by its name without a split."""
        self._forced: dict[str, Forced] = {}
        self._said: dict[str, Said] = {}
        self._greedy: dict[str, Said] = {}
        """Where the translations wanted are not greedy."""
        self._attended: dict[str, Attended] = {}

    def split(self, name: str) -> Split:
        """Return a split of the corpus."""
        return self.corpus.splits[name]

    def forced(self, split: str) -> Forced:
        """Return what the model thinks of every gold target token of a split."""
        if split not in self._forced:
            self._forced[split] = force(self.model, self.split(split), self.clock)
        return self._forced[split]

    def said(self, split: str) -> Said:
        """Return the model's translations of a split."""
        if split not in self._said:
            self._said[split] = translate(self.model, self.corpus, split, self.clock, decode=self.decode)
        return self._said[split]

    def greedily(self, split: str) -> Said:
        """Return the model's greedy translations of a split, whatever search was asked for."""
        if self.decode.beam_size == 1:
            return self.said(split)
        if split not in self._greedy:
            alone = self.decode.model_copy(update={"beam_size": 1, "n_best": 1})
            self._greedy[split] = translate(self.model, self.corpus, split, self.clock, decode=alone)
        return self._greedy[split]

    def attended(self, split: str) -> Attended:
        """Return what the model attends to on a split."""
        if split not in self._attended:
            self._attended[split] = look(self.model, self.split(split), self.clock)
        return self._attended[split]

    @property
    def translations(self) -> dict[str, list[str]]:
        """The translations that were made, by split."""
        return {split: said.hypotheses for split, said in self._said.items()}

    @property
    def n_best(self) -> dict[str, list[list[tuple[str, float]]]]:
        """The best translations of every sentence with their scores, by split, where more than one was wanted."""
        return {split: said.n_best for split, said in self._said.items() if said.n_best}

    def is_forced_and_said(self, split: str) -> bool:
        """Whether a split was both scored and greedily translated."""
        greedy = self._said if self.decode.beam_size == 1 else self._greedy
        return split in self._forced and split in greedy
