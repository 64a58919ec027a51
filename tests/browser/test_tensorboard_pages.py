"""TensorBoard itself, in a real browser, on an experiment whose event files were made from its JSON lines."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium, is_elsewhere
from hostile import HOSTILE, is_harmful, shows

from maskbench.tensorboard.refresh import BANDS_PAGE, rebuild_all

ARMS = ("none", "static", "dynamic")
OWN_NOISE = (
    # TensorBoard's own bundle, whatever it shows: two copies of a library, and parts that its authors call old.
    r'index\.js\S* \d+:\d+ "WARNING: Multiple instances of Three\.js being imported\."',
    r'index\.js\S* \d+:\d+ "paper-(header-panel|toolbar)" "is deprecated\. Please use app-layout instead!"',
    # Its charts are drawn by WebGL, and a headless browser has no graphics card.
    r"Automatic fallback to software WebGL has been deprecated\.",
    r"GL Driver Message \(OpenGL, Performance, GL_CLOSE_PATH_NV, High\): GPU stall due to ReadPixels",
)

EVERYWHERE = """
const all = (root, css, found = []) => {
  found.push(...root.querySelectorAll(css));
  for (const part of root.querySelectorAll("*")) if (part.shadowRoot) all(part.shadowRoot, css, found);
  return found;
};
const seen = part => part.getClientRects().length > 0;
"""
"""`all(document, css)`: TensorBoard's parts hide their insides from a plain `querySelectorAll`."""


@pytest.fixture(scope="module")
def server(rich: Path) -> Iterator[str]:
    yield from serving(rich)


@pytest.fixture(scope="module")
def hostile_server(hostile: Path) -> Iterator[str]:
    yield from serving(hostile)


def serving(experiment: Path) -> Iterator[str]:
    """Make the event files anew and yield the address of TensorBoard, in a process that needs nothing of ours."""
    rebuild_all(experiment)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [
        "--logdir",
        str(experiment),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--load_fast",
        "false",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-m", "tensorboard.main", *arguments], **quiet) as process:
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.kill()


@pytest.fixture
def board(chromium: Chromium) -> Iterator[Chromium]:
    """The browser; afterwards only what TensorBoard always says may have been said."""
    chromium.reset()
    chromium.size(1400, 1000)
    yield chromium
    assert not [address for address in chromium.requests() if is_elsewhere(address)]
    assert not [m for m in chromium.messages() if not any(re.search(own, m) for own in OWN_NOISE)]


def show(board: Chromium, server: str, place: str, look: str, name: str, *given: Any) -> Any:
    """Open a page of TensorBoard, and return the first true result of a script, which may use `all` and `seen`."""

    def opened() -> bool:
        if up(server):
            board.open(server + place)
            return True
        return False

    assert board.until(opened), "TensorBoard did not start"
    found = board.until(lambda: board.script(EVERYWHERE + look, *given))
    board.picture(name, whole=False)
    return found


def up(server: str) -> bool:
    host, port = server.removeprefix("http://").rstrip("/").split(":")
    with socket.socket() as tried:
        return tried.connect_ex((host, int(port))) == 0


def test_every_arm_has_a_band_in_every_margin_chart(board: Chromium, server: str) -> None:
    bands = show(
        board,
        server,
        BANDS_PAGE,
        """
        const charts = all(document, "tf-custom-scalar-margin-chart-card");
        const found = charts.map(chart => all(chart.shadowRoot || chart, "path.area")
          .filter(path => seen(path) && getComputedStyle(path).fill !== "none")
          .map(path => ({width: path.getBBox().width, d: path.getAttribute("d")})));
        const whole = found.filter(bands => bands.filter(band => band.width > 100).length === arguments[0]);
        return whole.length >= 2 ? whole : null;
        """,
        "tensorboard-bands",
        len(ARMS),
    )
    assert bands, "the margin charts show no bands"
    for chart in bands:
        assert all(area(band["d"]) > 50 for band in chart), chart


def area(path: str) -> float:
    """Return what a path of straight lines encloses, in square pixels (shoelace formula)."""
    points = [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+)[, ](-?[\d.]+)", path)]
    turned = [*points[1:], *points[:1]]
    return abs(sum(x * v - u * y for (x, y), (u, v) in zip(points, turned, strict=True))) / 2


def test_the_settings_page_has_a_row_for_each_arm_and_groups_its_seeds(board: Chromium, server: str) -> None:
    rows = show(
        board,
        server,
        "#hparams",
        """
        const rows = all(document, "vaadin-grid-cell-content, tf-hparams-table-view td")
          .filter(seen).map(part => part.textContent.trim()).filter(Boolean);
        return arguments[0].every(arm => rows.includes(arm)) ? rows : null;
        """,
        "tensorboard-hparams",
        list(ARMS),
    )
    assert rows, "the settings page has no row for each arm"
    assert [rows.count(arm) >= 1 for arm in ARMS] == [True] * 3
    numbers = [float(cell) for cell in rows if re.fullmatch(r"0\.\d+", cell)]
    # The mean over seeds of the compared metric, which every row shows.
    assert any(0.55 < number < 0.7 for number in numbers)
    groups = board.script(
        """
        const asked = new XMLHttpRequest();
        asked.open("POST", "data/plugin/hparams/session_groups", false);
        asked.setRequestHeader("Content-Type", "application/json");
        asked.send(JSON.stringify({experimentName: "", allowedStatuses: ["STATUS_SUCCESS", "STATUS_UNKNOWN",
          "STATUS_FAILURE", "STATUS_RUNNING"], colParams: [], startIndex: 0, sliceSize: 100}));
        return JSON.parse(asked.responseText).sessionGroups.map(group => group.sessions.length);
        """
    )
    assert groups == [8, 8, 8]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("#scalars", [*(f"{arm}/seed-7" for arm in ARMS), "_aggregate/dynamic", "valid", "train"]),
        ("#text", ["she reads a book", "the cat sees a [MASK]", "name: rich"]),
        ("#images", ["mask/picture/encoder_self-window-0"]),
    ],
)
def test_a_page_shows_what_the_runs_logged(
    board: Chromium, server: str, place: str, words: list[str]
) -> None:
    assert show(
        board,
        server,
        place,
        """
        const text = all(document, "*").filter(seen).map(p => [...p.childNodes].filter(n => n.nodeType === 3)
          .map(n => n.textContent).join(" ")).join(" ");
        return arguments[0].every(words => text.includes(words));
        """,
        f"tensorboard-{place[1:]}",
        words,
    )
    if place == "#images":
        look = (
            f"{EVERYWHERE} return all(document, 'img').filter(p => seen(p) && p.naturalWidth === 64).length"
        )
        assert board.until(lambda: board.script(look))


def test_hostile_samples_are_text(board: Chromium, hostile_server: str) -> None:
    found = show(
        board,
        hostile_server,
        # Of more than 40 runs TensorBoard shows none, unless a filter leaves fewer.
        "#text&regexInput=none/seed-0",
        """
        const shown = all(document, "pre, code").filter(seen).map(part => part.textContent).join("\\n");
        const live = all(document, ".step-value *, .text *").map(p => p.tagName.toLowerCase());
        const owned = window.owned;
        return shown.includes("[mask]") && shown.includes("better") ? {shown, live, owned} : null;
        """,
        "tensorboard-hostile",
    )
    assert found, "TensorBoard shows no samples"
    assert found["owned"] is None
    assert not {"a", "script", "img", "svg", "iframe", "b", "h1", "ul", "style"} & set(found["live"])
    # TensorBoard itself makes question marks of control characters.
    shown = pieces(found["shown"])
    assert not [text for text in HOSTILE.values() if not shows(shown, pieces(text))]


def pieces(text: str) -> str:
    """Return a text with spaces for harmful characters and what stands for them."""
    return "".join(" " if is_harmful(c) or c in "?\ufffd" else c for c in text)
