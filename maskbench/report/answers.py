"""Makes the page's opening: the question, the answer in a sentence, and one sentence for each arm."""

from __future__ import annotations

from dataclasses import dataclass

from maskbench.comparison.text.sentences import headline, verdict_sentence
from maskbench.comparison.text.verdict_symbols import verdict_with_symbol
from maskbench.report.gather import ReportPanel


@dataclass(frozen=True, slots=True)
class ArmAnswer:
    """One arm's verdict with its sentence."""

    arm: str
    verdict: str
    shown: str
    """The verdict with its symbol."""
    sentence: str


@dataclass(frozen=True, slots=True)
class PanelAnswers:
    """The question and the answers."""

    question: str
    more: tuple[str, ...]
    """Further paragraphs of the experiment file's opening comment."""
    headline: str
    arms: tuple[ArmAnswer, ...]


def make_answers(panel: ReportPanel) -> PanelAnswers:
    """Return the question, headline and verdicts of a panel."""
    comparison = panel.comparison
    question, *more = (" ".join(part.split("\n")) for part in comparison.question.strip().split("\n\n"))
    arms = tuple(
        ArmAnswer(
            row.arm,
            row.verdict or "",
            verdict_with_symbol(row.verdict or ""),
            verdict_sentence(row, comparison),
        )
        for row in comparison.judged
    )
    return PanelAnswers(question, tuple(more), headline(comparison), arms)
