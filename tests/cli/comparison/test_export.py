"""CSV, Markdown and LaTeX: every number and verdict is there, and text from files is text."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_comparisons import SIGNATURE, comparison, difference, every_verdict, row
from markdown_it import MarkdownIt

from maskbench.cli.comparison.csv_format import to_csv
from maskbench.cli.comparison.latex_format import escaped as latex_escaped
from maskbench.cli.comparison.latex_format import to_latex
from maskbench.cli.comparison.markdown_format import escaped as markdown_escaped
from maskbench.cli.comparison.markdown_format import line as markdown_line
from maskbench.cli.comparison.markdown_format import to_markdown
from maskbench.comparison.results import Comparison
from maskbench.text import sanitize

HOSTILE = [
    '=HYPERLINK("http://evil.example","x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    " =1+1",
    "＝1+1",
    'a"b,c\r\nd',
    "<script>alert(1)</script>",
    "![x](http://evil.example/x.png) [y](javascript:z)",
    "| a | b |\n|---|---|",
    "``` `x` ```",
    "# 1. - * _x_ ~~y~~",
    "http://evil.example www.evil.example",
    "&lt;b&gt; &#60;",
    r"\input{/etc/passwd} \write18{ls} ^^41",
    "100 % of $x_1^2$ ~ {a} & #b",
    "[2em] * `` '' -- ,,",
    "\x1b[2J\u202eevil\x00",
    "a\\",
]


def hostile(text: str) -> Comparison:
    """A comparison with the text wherever text can come from."""
    up = row("up", difference(0.02, 0.01, 0.03), "better", title=text, notes=(text,), also_different=(text,))
    base = row("base", title=f"base {text}")
    return comparison(
        base,
        up,
        experiment=text,
        panel=text,
        question=text,
        alarms=(text,),
        warnings=(text,),
        metric_signature=text,
        signature=text,
    )


def records(found: Comparison) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(to_csv([found]), newline="")))


class TestCsv:
    def test_an_arm_is_a_record_with_its_numbers_in_full(self):
        found = records(every_verdict())
        assert [r["arm"] for r in found] == [
            "static",
            "dynamic",
            "window-1",
            "none",
            "twin",
            "noise",
            "late",
            "broken",
        ]
        dynamic = found[1]
        numbers = (
            "mean",
            "sd",
            "difference",
            "low",
            "high",
            "p",
            "p_holm",
            "relative_step_time",
            "noise_seeds",
        )
        assert [float(dynamic[key]) for key in numbers] == [
            *(0.5691, 0.0182, 0.0167, 0.009, 0.0251, 0.0078125, 0.03125, 1.337, 0.71)
        ]
        words = (
            "experiment",
            "panel",
            "metric",
            "baseline",
            "verdict",
            "interval",
            "rule",
            "notes",
            "signature",
        )
        assert [dynamic[key] for key in words] == [
            *("made", "small", "test/token_accuracy", "static", "better", "test", "fixed", "size uncertain"),
            SIGNATURE,
        ]
        assert [dynamic[key] for key in ("n", "wins", "pairs", "done", "unsafe")] == [
            "8",
            "8",
            "8",
            "8",
            "false",
        ]

    def test_what_is_not_known_is_empty(self):
        baseline, late = records(every_verdict())[0], records(every_verdict())[6]
        assert {baseline[key] for key in ("difference", "p", "wins", "pairs", "verdict", "low")} == {""}
        assert (late["low"], late["waiting"], late["relative_step_time"]) == ("", "6", "")

    def test_the_columns_are_the_documented_ones(self):
        from pathlib import Path

        page = (Path(__file__).parents[3] / "docs" / "compare.md").read_text(encoding="utf-8")
        section = page.partition("## CSV")[2].partition("\n## ")[0]
        cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
        assert re.findall(r"`(\w+)`", "".join(cells)) == list(records(every_verdict())[0])

    def test_small_numbers_are_not_rounded(self):
        third = row("x", difference(1 / 3, 1e-17, 0.1 + 0.2), "better")
        (_, found) = records(comparison(row("base"), third))
        assert [float(found[key]) for key in ("difference", "low", "high")] == [1 / 3, 1e-17, 0.1 + 0.2]

    def test_a_negative_number_stays_a_number(self):
        assert records(every_verdict())[2]["difference"] == "-0.0333"

    @pytest.mark.parametrize("text", HOSTILE)
    def test_no_spreadsheet_takes_a_text_for_a_formula(self, text):
        for record in records(hostile(text)):
            for key in ("experiment", "panel", "title", "notes", "also_different", "signature"):
                assert not record[key].lstrip().startswith(("=", "+", "-", "@", "＝", "\t", "\r"))

    @pytest.mark.parametrize("text", HOSTILE)
    def test_text_comes_back_as_it_was_but_for_its_guard(self, text):
        (_, found) = records(hostile(text))
        assert found["title"].removeprefix("'") == sanitize(text).removeprefix("'")
        assert len(records(hostile(text))) == 2

    def test_lines_end_as_the_standard_says(self):
        text = to_csv([every_verdict(), every_verdict()])
        assert text.count("\r\n") == text.count("\n") == 17
        assert text.count("experiment,panel,metric") == 1


def html(text: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


def shown(text: str) -> str:
    """The text a browser would show."""
    import html as entities

    return entities.unescape(re.sub(r"<[^>]*>", "", text))


class TestMarkdown:
    def test_the_table_has_every_arm_and_verdict(self):
        rows = re.findall(r"<tr>\s*(.*?)\s*</tr>", html(to_markdown([every_verdict()])), re.DOTALL)
        cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", r) for r in rows]
        assert cells[0] == [
            "arm",
            "n",
            "mean ± sd",
            "difference [95 %]",
            "p (Holm)",
            "wins",
            "verdict",
            "cost",
        ]
        assert cells[2] == [
            "dynamic",
            "8",
            "56.9 ± 1.8",
            "+1.7 [0.9, 2.5]",
            "0.031",
            "8/8",
            "better",
            "1.34x [1.29, 1.40]",
        ]
        assert cells[8] == [
            "broken (unsafe)".removesuffix(" (unsafe)"),
            "0/8",
            "",
            "",
            "",
            "0/0",
            "unusable",
            "",
        ]
        assert [c[6] for c in cells[1:]] == [r.verdict or "baseline" for r in every_verdict().rows]

    def test_the_signature_is_code_that_can_be_copied(self):
        assert f"<code>{SIGNATURE}</code>" in html(to_markdown([every_verdict()]))

    def test_several_panels_have_a_heading_each(self):
        assert html(to_markdown([every_verdict()] * 2)).count("<h2>made / small</h2>") == 2

    @pytest.mark.parametrize("text", HOSTILE)
    def test_hostile_text_makes_no_markup(self, text):
        calm = html(to_markdown([hostile("calm")]))
        found = html(to_markdown([hostile(text)]))
        assert re.findall(r"<[^>]*>", found) == re.findall(r"<[^>]*>", calm)

    @pytest.mark.parametrize("text", HOSTILE)
    def test_hostile_text_is_shown_as_it_is(self, text):
        assert shown(html(f"- {markdown_line(text)}")).split() == sanitize(text).split()

    @given(st.text(alphabet="ab1 \\`*_{}[]()<>#+-.!|~&$@:/=\"'\n"))
    def test_any_text_is_shown_as_it_is(self, text):
        assert shown(html(f"x {markdown_escaped(text)} y")).split() == f"x {sanitize(text)} y".split()
        listed = html(f"- {markdown_line(text)} y")
        assert shown(listed).split() == f"{sanitize(text)} y".split()
        assert set(re.findall(r"<(\w+)", listed)) == {"ul", "li"}

    @pytest.mark.parametrize("text", HOSTILE)
    def test_a_row_keeps_its_cells(self, text):
        (_, _, found) = re.findall(r"<tr>\s*(.*?)\s*</tr>", html(to_markdown([hostile(text)])), re.DOTALL)
        cells = [shown(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", found, re.DOTALL)]
        assert cells[0].split() == sanitize(text).split()
        assert cells[1:] == ["8", "55.2 ± 1.8", "+2.0 [1.0, 3.0]", "0.031", "8/8", "better", "1.00x"]

    def test_bare_addresses_are_broken(self):
        assert "://" not in markdown_escaped("see http://x.example").replace(r"\://", "")
        assert markdown_escaped("www.x.example") == r"www\.x.example"


_TOKEN = re.compile(r"\\([A-Za-z]+)\*?(?:\{\})?|\\(.)|([{}$&#^_~%])|([^\\{}$&#^_~%]+)", re.DOTALL)
_SHOWS = {
    "textbackslash": "\\",
    "textasciicircum": "^",
    "textasciitilde": "~",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
    "textasciigrave": "`",
    "textpm": "±",
    "texttimes": "×",
}


def printed(text: str) -> str:
    """What LaTeX prints of escaped text; an AssertionError where a character would do anything but print."""
    text = text.replace(r"\symbol{34}", '"')
    result, depth = "", 0
    for command, symbol, special, plain_text in _TOKEN.findall(text):
        if command:
            result += _SHOWS[command]
        elif symbol:
            assert symbol in "{}$&#_%"
            result += symbol
        elif special:
            assert special in "{}"
            depth += 1 if special == "{" else -1
            assert depth >= 0
        else:
            result += plain_text
    assert depth == 0
    return result


class TestLatex:
    @pytest.mark.parametrize("text", HOSTILE)
    def test_hostile_text_is_printed_as_it_is(self, text):
        assert printed(latex_escaped(text)) == sanitize(text)

    @given(st.text(alphabet="ab1 \\`*_{}[]<>#+-.|~&$^%@:/='\",\n±×"))
    def test_any_text_is_printed_as_it_is(self, text):
        assert printed(latex_escaped(text)) == sanitize(text)

    @pytest.mark.parametrize("pair", ["--", "''", ",,", "---"])
    def test_two_characters_do_not_become_one(self, pair):
        assert pair[:2] not in latex_escaped(f"a{pair}b")

    @pytest.mark.parametrize("text", ["calm", *HOSTILE])
    def test_every_row_has_nine_cells_and_no_option(self, text):
        body = re.search(r"\\midrule\n(.*?)\n\\bottomrule", to_latex([hostile(text)]), re.DOTALL)
        assert body is not None
        rows = body[1].split("\n")
        assert len(rows) == 2
        for line in rows:
            assert line.endswith(r" \\") and not line.startswith(("[", "*"))
            assert len(re.findall(r"(?<!\\)&", line)) == 8

    @pytest.mark.parametrize("text", ["calm", *HOSTILE])
    def test_environments_and_braces_are_balanced(self, text):
        written = to_latex([hostile(text)] * 2)
        lines = [line for line in written.splitlines() if not line.startswith("%")]
        open_ = []
        for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", "\n".join(lines)):
            if kind == "begin":
                open_.append(name)
            else:
                assert open_.pop() == name
        assert open_ == []
        bare = re.sub(r"\\[{}]", "", "\n".join(lines))
        assert bare.count("{") == bare.count("}")
        assert not re.search(r"(?<!\\)[#%]", bare)
        assert len(re.findall(r"(?<!\\)\$", bare)) % 2 == 0

    def test_numbers_verdicts_and_intervals_are_there(self):
        written = to_latex([every_verdict()])
        (dynamic,) = (line for line in written.splitlines() if line.startswith("dynamic &"))
        assert [cell.strip() for cell in dynamic.removesuffix(r"\\").split("&")] == [
            "dynamic",
            "8",
            r"$56.9$ \textpm{} $1.8$",
            "$+1.7$",
            "{[}0.9, 2.5{]}",
            "$0.031$",
            "8/8",
            "better",
            r"1.34\texttimes{} {[}1.29, 1.40{]}",
        ]
        assert "{[}$-4.1$, $-2.6${]}" in written
        for verdict in (
            "worse",
            "equivalent",
            "identical",
            "inconclusive",
            "not testable",
            "unusable",
            "baseline",
        ):
            assert f"& {verdict} &" in written

    @pytest.mark.parametrize("text", HOSTILE)
    def test_a_label_is_made_of_harmless_characters(self, text):
        (name,) = re.findall(r"\\label\{(.*?)\}\n", to_latex([hostile(text)]))
        assert re.fullmatch(r"tab:[A-Za-z0-9-]*", name)

    def test_the_signature_can_be_broken_at_its_bars_only(self):
        written = to_latex([replace(every_verdict(), signature="a|b_c")])
        assert r"\texttt{a\textbar{}\allowbreak{}b\_c}" in written
