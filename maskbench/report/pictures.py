"""Reads the runs' pictures of masks and attention, to embed them in the page."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from maskbench.report.gather import ReportPanel

MAX_BYTES = 200_000
"""Maximum size of a picture in bytes; larger ones are left out and counted, to keep the page small."""
MAX_PICTURES = 60
"""Maximum number of pictures of a panel; more are left out and counted."""
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of one arm."""

    arm: str
    title: str
    label: str
    step: int
    width: int
    height: int
    data: str
    """The PNG as a data URI."""

    @property
    def is_attention(self) -> bool:
        """Whether it shows attention weights, not a mask."""
        return self.label.startswith("attention")

    @property
    def is_wide(self) -> bool:
        """Whether it shows several masks side by side, for heads that differ; width over 1.5 times height."""
        return self.width > 1.5 * self.height

    @property
    def shown(self) -> str:
        """Description of the picture: arm, kind, label and step."""
        what = "where it attends" if self.is_attention else "its mask"
        return f"{self.title}: {what}, {self.label}, after {self.step} steps"


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of the runs with the first seed."""

    seed: int
    masks: tuple[Picture, ...]
    attention: tuple[Picture, ...]
    left_out: int


def read_pictures(panel: ReportPanel) -> Pictures:
    """Return the last picture of each label of every arm, from the runs with the first seed."""
    seed = panel.collected.found.experiment.seeds[0]
    found: list[Picture] = []
    left_out = 0
    for arm, title in panel.titles.items():
        last = {
            path.stem.rpartition("-")[0]: path
            for path in panel.collected.found.directory.run(arm, seed).pictures()
        }
        for label, path in last.items():
            data = path.read_bytes()
            if (
                len(data) > MAX_BYTES
                or not data.startswith(_PNG)
                or len(data) < 24
                or len(found) == MAX_PICTURES
            ):
                left_out += 1
                continue
            # Every PNG has width and height at bytes 16 and 20.
            width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
            encoded = f"data:image/png;base64,{base64.b64encode(data).decode()}"
            step = int(path.stem.rpartition("-")[2])
            found.append(Picture(arm, title, label, step, width, height, encoded))
    return Pictures(
        seed,
        tuple(p for p in found if not p.is_attention),
        tuple(p for p in found if p.is_attention),
        left_out,
    )
