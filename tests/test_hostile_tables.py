"""Hostile text in an experiment's files comes out of every format of `maskbench compare` as text, and as all of it.

Readers that know nothing of the writers judge: csv, json, two renderers of Markdown, a reader of LaTeX below, and a
real terminal's other end.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import markdown
import pytest
from hostile import HOSTILE, is_harmful, shows, title, words_of, write_hostile
from markdown_it import MarkdownIt

from maskbench.cli.comparison.csv_format import to_csv
from maskbench.cli.comparison.latex_format import to_latex
from maskbench.cli.comparison.markdown_format import to_markdown
from maskbench.cli.comparison.other_metrics import MetricSelection
from maskbench.cli.comparison.render import as_text
from maskbench.comparison.results import Comparison, ComparisonOptions
from maskbench.comparison.table import compare
from maskbench.comparison.text.json_document import to_json

TEXTS = list(HOSTILE.values())


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def found(directory: Path) -> Comparison:
    (comparison,) = compare([directory], ComparisonOptions())
    return comparison


@pytest.fixture(scope="module")
def raw(found: Comparison) -> Comparison:
    """The comparison with the strings as they are in every place that holds text, titles too.

    Loading lets no control character into a title; a writer must not rely on it.
    """
    baseline, *others = found.rows
    rows = [
        replace(row, title=text, notes=(f"note {text}",), also_different=(text,))
        for row, text in zip(others, TEXTS, strict=True)
    ]
    rows[0] = replace(rows[0], unsafe=True, oracle=True)
    warnings = tuple(f"warning {text}" for text in TEXTS)
    alarms = tuple(f"alarm {text}" for text in TEXTS)
    return replace(found, rows=(baseline, *rows), question=TEXTS[0], warnings=warnings, alarms=alarms)


def harmful(text: str, but: str = "\n") -> set[str]:
    return {c for c in set(text) - set(but) if is_harmful(c)}


def not_shown(shown: str, texts: Sequence[str]) -> list[str]:
    together = "".join(shown.split())
    return [text for text in texts if "".join(words_of(text)) not in together]


def test_the_strings_are_forty_and_would_do_harm() -> None:
    assert len(HOSTILE) == len(set(HOSTILE.values())) == 40
    assert sum(bool(harmful(text)) for text in TEXTS) >= 10


@pytest.mark.parametrize(
    "detail", [MetricSelection(), MetricSelection(all_metrics=True, slices=True)], ids=["short", "all"]
)
def test_the_table_shows_titles_messages_and_versions(found: Comparison, detail: MetricSelection) -> None:
    shown = as_text([found], detail)
    assert not harmful(shown)
    assert not not_shown(shown, [title(text) for text in TEXTS])
    # Of a message that has several lines, the last one is shown.
    assert not not_shown(shown, [re.split(r"\n", f"{text}|".strip())[-1] for text in TEXTS])


def test_the_table_shows_what_is_put_in_past_the_checks(raw: Comparison) -> None:
    shown = as_text([raw])
    assert not harmful(shown)
    for prefix in ("", "warning ", "alarm "):
        assert not not_shown(shown, [f"{prefix}{text}" for text in TEXTS])


def test_a_line_from_a_file_never_begins_a_line_of_its_own(found: Comparison, raw: Comparison) -> None:
    for comparison in (found, raw):
        for shown in (to_markdown([comparison]), to_latex([comparison])):
            lines = [line.strip() for line in shown.splitlines()]
            assert not [line for line in lines if line.startswith(("[40/40]", "error:", "\\[40/40"))]


def test_a_terminal_gets_nothing_but_characters_line_ends_and_our_colours(directory: Path) -> None:
    written = in_a_terminal([sys.executable, "-m", "maskbench.cli", "compare", str(directory)])
    assert "\x1b[" in written, "a terminal gets colours, or this test sees nothing"
    without_colours = re.sub(r"\x1b\[[0-9;]*m", "", written)
    assert not harmful(without_colours)
    assert not not_shown(
        without_colours.replace("\n", ""), ["[2J[H[31mred", "31m0;ownedc1", "the [mask] sat"]
    )


def in_a_terminal(command: Sequence[str]) -> str:
    """Run a command whose streams are a terminal; return what it wrote there."""
    ours, its = os.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "CI")}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "150", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment) as process:
        os.close(its)
        parts = []
        while part := _read(ours):
            parts.append(part)
    os.close(ours)
    assert process.returncode == 0
    # The terminal itself makes \r\n of \n.
    return b"".join(parts).decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # Linux says so when the other end is closed.
        return b""


def test_json_gives_every_string_back_and_is_ascii(raw: Comparison) -> None:
    written = to_json([raw])
    assert written.isascii()
    assert not harmful(written)
    document = json.loads(written)
    assert '"verdict":"better"' not in written.replace(" ", "")
    shown = json.dumps(document, ensure_ascii=False)
    for text in TEXTS:
        assert json.dumps(f"warning {text}", ensure_ascii=False) in shown
    names = {text for row in document["arms"] for text in [row.get("title", ""), *row["also_different"]]}
    assert set(TEXTS) <= names


def test_no_cell_of_csv_is_a_formula_and_every_title_is_there(raw: Comparison) -> None:
    written = to_csv([raw])
    assert not harmful(written, but="\r\n")
    rows = list(csv.DictReader(StringIO(written, newline="")))
    assert [row["arm"] for row in rows] == [row.arm for row in raw.rows]
    for row in rows:
        assert None not in row and None not in row.values(), "every line has a field for each column"
        assert not [cell for cell in row.values() if is_formula(cell)]
    for row, text in zip(rows[1:], TEXTS, strict=True):
        assert row["title"].removeprefix("'").split() == words_of(text)
        assert row["also_different"].removeprefix("'").split() == words_of(text)


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet would compute it; a number is none."""
    if not cell or cell.strip()[:1] not in tuple("=+-@＝＋－＠"):
        return cell[:1] in ("\t", "\r", "\n")
    try:
        float(cell)
    except ValueError:
        return True
    return False


LIVE = {"html_block", "html_inline", "image", "link_open", "s_open"}


def test_markdown_shows_text_and_holds_nothing_live(raw: Comparison) -> None:
    written = to_markdown([raw])
    assert not harmful(written)
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = list(flat(reader.parse(written)))
    assert not [(token.type, token.content) for token in tokens if token.type in LIVE]
    assert not [
        t for t in tokens if t.type in ("fence", "code_block", "hr", "blockquote_close") and t.level > 1
    ]
    assert sum(token.type == "table_open" for token in tokens) == 1
    assert sum(token.type == "heading_open" for token in tokens) == 1
    assert sum(token.type == "td_open" for token in tokens) == 8 * len(raw.rows)
    shown = text_of(reader.render(written))
    for prefix in ("", "warning: warning ", "alarm "):
        assert not not_shown(shown, [f"{prefix}{text}" for text in TEXTS])


def test_another_renderer_of_markdown_finds_nothing_live_either(raw: Comparison) -> None:
    tags = tags_of(markdown.markdown(to_markdown([raw]), extensions=["tables", "sane_lists"]))
    allowed = "p h2 em strong code ul li blockquote table thead tbody tr th td"
    assert tags <= set(allowed.split())


def test_markdown_leaves_no_address_that_a_site_makes_a_link_of(raw: Comparison) -> None:
    without_code = re.sub(r"(`+).+?\1", "", to_markdown([raw]).replace("\\`", ""))
    assert "https" in without_code
    assert not re.search(r"https?://|www\.", without_code)


def flat(tokens: Sequence) -> Iterator:
    for token in tokens:
        yield token
        yield from flat(token.children or ())


class Parts(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.tags: set[str] = set()

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)


def parts_of(html: str) -> Parts:
    parts = Parts()
    parts.feed(html)
    parts.close()
    return parts


def text_of(html: str) -> str:
    return "".join(parts_of(html).text)


def tags_of(html: str) -> set[str]:
    return parts_of(html).tags


OURS = frozenset(
    re.findall(
        r"\w+",
        "begin end centering small footnotesize caption label toprule midrule bottomrule par smallskip linewidth "
        "texttt textbf emph allowbreak textpm texttimes symbol textbackslash textasciicircum textasciitilde textless textgreater "
        "textbar textasciigrave textdagger",
    )
)


def test_latex_prints_every_special_and_runs_nothing_of_a_file(raw: Comparison) -> None:
    written = to_latex([raw])
    assert not harmful(written)
    comment, _, body = written.partition("\n")
    assert comment.startswith("%")
    commands = set(re.findall(r"\\([a-zA-Z]+)", body.replace(r"\\", "")))
    assert commands <= OURS
    rest = re.sub(r"\\(?:[{}$&#_%\\]|[a-zA-Z]+)", "", body)
    # What stands between dollars is a number.
    rest = re.sub(r"\$[-+<.\d ]+\$", "", rest)
    assert not re.search(r"[$%#_^~\\]", rest)
    assert rest.count("{") == rest.count("}")
    table = body[body.index(r"\midrule") : body.index(r"\bottomrule")]
    rows = [line for line in table.split("\n") if line.endswith(r"\\")]
    assert len(rows) == len(raw.rows)
    assert {re.sub(r"\\[&\\]", "", row).count("&") for row in rows} == {8}


def test_latex_prints_the_text_itself(raw: Comparison) -> None:
    names = {
        r"\textbackslash{}": "\\",
        r"\textasciicircum{}": "^",
        r"\textasciitilde{}": "~",
        r"\textless{}": "<",
        r"\textgreater{}": ">",
        r"\textbar{}": "|",
        r"\textasciigrave{}": "`",
        r"\symbol{34}": '"',
    }
    table = to_latex([raw])
    for name, character in names.items():
        # What was read is set apart, so that it is not read again.
        table = table.replace(name, f"\x00{ord(character)};")
    table = re.sub(r"\\([{}$&#_%])", lambda found: f"\x00{ord(found[1])};", table)
    # Other braces print nothing.
    table = re.sub("[{}]", "", table)
    table = re.sub(r"\x00(\d+);", lambda found: chr(int(found[1])), table)
    for prefix in ("", "alarm ", "note "):
        assert not not_shown(table, [f"{prefix}{text}" for text in TEXTS])


def test_shows_notices_what_is_missing() -> None:
    assert shows("a [mask] b", "[mask]")
    assert not shows("a  b", "[mask]")
