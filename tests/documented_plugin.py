"""What the tests of the pages `docs/write-a-....md` share: the page's code, extracted, and the program in a reader's folder."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
SMALL = (
    *("--set", "seeds=1", "--set", "corpus.pairs=60", "--set", "corpus.max_length=6"),
    *("--set", "model={d_model: 12, n_heads: 3, d_ff: 20, encoder_layers: 1, decoder_layers: 1}"),
    *("--set", "train={steps: 4, batch_tokens: 96, valid_every: 2, warmup_steps: 1}"),
)
"""Options that make the experiment of a page small."""


class Page:
    """A page that explains a plug-in: one Python block, one experiment, and commands."""

    def __init__(self, name: str) -> None:
        self.text = (DOCS / name).read_text(encoding="utf-8")

    def block(self, language: str) -> str:
        """Return the page's only block in a language."""
        found = re.findall(rf"^```{language}\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)
        assert len(found) == 1, f"{len(found)} {language} blocks"
        return str(found[0])

    def commands(self) -> list[list[str]]:
        """Return the words of the page's commands, without the program's name."""
        return [line.split() for line in re.findall(r"^maskbench (.*)$", self.text, re.MULTILINE)]

    def save(self, folder: Path, stem: str) -> Path:
        """Save the Python block and the experiment, as the page says: `a_name.py` and `a-name.yaml`."""
        (folder / f"{stem}.py").write_text(self.block("python"), encoding="utf-8")
        (folder / f"{stem.replace('_', '-')}.yaml").write_text(self.block("yaml"), encoding="utf-8")
        return folder
