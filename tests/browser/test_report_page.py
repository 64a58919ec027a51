"""The report in a real browser: it is all there, it fits, it can be read in the dark and on paper, and nothing in it acts."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from chromium import Chromium
from hostile import ELSEWHERE, HOSTILE, shows, title

from maskbench.comparison.results import ComparisonOptions
from maskbench.report.page import render_page

PHONE, DESK = (375, 812), (1200, 900)


@pytest.fixture(scope="module")
def report(rich: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(rich, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def hostile_report(hostile: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(hostile, tmp_path_factory.mktemp("hostile-report"))


def written(experiment: Path, folder: Path) -> str:
    path = folder / "report.html"
    path.write_text(render_page([experiment], ComparisonOptions()), encoding="utf-8")
    return path.as_uri()


def test_every_plot_and_picture_is_drawn_and_has_a_text_instead(page: Chromium, report: str) -> None:
    page.open(report)
    drawn = page.script(
        """
        for (const part of document.querySelectorAll("details")) part.open = true;
        return [...document.querySelectorAll("svg, img")].map(drawn => {
          const box = drawn.getBoundingClientRect();
          const title = drawn.querySelector("title");
          const named = drawn.getAttribute("aria-labelledby") || "";
          const text = drawn.alt || drawn.getAttribute("aria-label") || (title && title.textContent)
            || named.split(" ").map(id => (document.getElementById(id) || {}).textContent || "").join(" ");
          const marks = drawn.tagName === "IMG" ? drawn.naturalWidth : drawn.querySelectorAll("path, use").length;
          return {width: box.width, height: box.height, text: text.trim(), marks, hidden: drawn.ariaHidden === "true"};
        });
        """
    )
    plots = [one for one in drawn if not one["hidden"]]
    # Differences, two curves at least, cost, splits, and a picture of each mask.
    assert len(plots) >= 6
    for plot in plots:
        assert plot["width"] > 30 and plot["height"] > 30, plot
        assert len(plot["text"]) > 10, plot
        assert plot["marks"] > 3, plot
    page.picture("report-desk")


def test_it_says_the_verdicts_in_words(page: Chromium, report: str) -> None:
    page.open(report)
    text = page.script("return document.body.innerText")
    for words in (
        "dynamic",
        "better",
        "static",
        "inconclusive",
        "8 of 8",
        "maskbench|v:",
        "she reads a book",
    ):
        assert words in text
    assert page.script("return document.documentElement.lang") == "en"
    assert "rich" in page.driver.title


@pytest.mark.parametrize("width", [320, PHONE[0], 768, DESK[0]])
def test_nothing_sticks_out_sideways(page: Chromium, report: str, width: int) -> None:
    page.size(width, 812, phone=width < 700)
    page.open(report)
    page.script("for (const part of document.querySelectorAll('details')) part.open = true")
    wide = page.script(
        """
        const out = [];
        for (const part of document.querySelectorAll("body *")) {
          if (part.closest("svg svg, .hidden, .skip")) continue;
          let scrolls = false;
          for (let above = part.parentElement; above; above = above.parentElement)
            scrolls = scrolls || ["auto", "scroll", "hidden"].includes(getComputedStyle(above).overflowX);
          if (!scrolls && part.getBoundingClientRect().right > innerWidth + 1)
            out.push(part.tagName + "." + part.getAttribute("class"));
        }
        return {page: document.documentElement.scrollWidth, out: out.slice(0, 5)};
        """
    )
    assert (wide["page"], wide["out"]) == (width, [])
    page.picture(f"report-{width}")


CONTRAST = """
const shade = colour => {
  const [r, g, b, a] = colour.match(/[\\d.]+/g).map(Number);
  return {rgb: [r, g, b], a: a === undefined ? 1 : a};
};
const light = rgb => {
  const [r, g, b] = rgb.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = part => {
  for (; part; part = part.parentElement) {
    const found = shade(getComputedStyle(part).backgroundColor);
    if (found.a === 1) return found.rgb;
  }
  return null;
};
const faint = [];
for (const part of document.querySelectorAll("body *")) {
  if (![...part.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
  const isDrawn = part instanceof SVGElement;
  if (isDrawn && part.tagName !== "text") continue;
  if (!part.getClientRects().length || part.closest(".hidden, .skip")) continue;
  const style = getComputedStyle(part);
  const ground = behind(part) || [255, 255, 255];
  const ink = shade(isDrawn ? style.fill : style.color);
  const [a, b] = [light(ink.rgb), light(ground)];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) faint.push([ratio.toFixed(2), part.tagName, part.className.baseVal ?? part.className,
                               part.textContent.trim().slice(0, 40)]);
}
return {ground: behind(document.body), faint};
"""
"""Text whose contrast to what is behind it is under 4.5 (WCAG 2.1, 1.4.3), and the page's own colour."""


def test_dark_is_dark_and_both_can_be_read(page: Chromium, report: str) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        page.open(report)
        page.script("for (const part of document.querySelectorAll('details')) part.open = true")
        seen = page.script(CONTRAST)
        page.picture(f"report-{scheme}")
        assert not seen["faint"], scheme
        grounds[scheme] = seen["ground"]
    assert sum(grounds["light"]) > 3 * 200
    assert sum(grounds["dark"]) < 3 * 60


def test_it_prints_on_pages_with_text(page: Chromium, report: str) -> None:
    page.prefer("dark")
    page.open(report)
    printed = base64.b64decode(page.command("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
    (page._pictures / "report.pdf").write_bytes(printed)
    pages = [int(count) for count in re.findall(rb"/Count (\d+)", printed)]
    assert 2 <= max(pages) <= 20
    # Letters, and not a picture of them; and no page is painted dark.
    assert b"/Font" in printed
    assert len(printed) > 20_000
    page.command("Emulation.setEmulatedMedia", media="print")
    ground = page.script("return getComputedStyle(document.body).backgroundColor")
    page.command("Emulation.setEmulatedMedia", media="")
    assert ground in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")


def test_hostile_text_is_text(page: Chromium, hostile_report: str) -> None:
    page.open(hostile_report)
    found = page.script(
        """
        for (const part of document.querySelectorAll("details")) part.open = true;
        const attributes = [...document.querySelectorAll("*")].flatMap(part => [...part.attributes]
          .filter(a => /^on/i.test(a.name) || /javascript:/i.test(a.value) && /href|src|action/i.test(a.name))
          .map(a => part.tagName + " " + a.name));
        const tags = [...new Set([...document.querySelectorAll("*")].map(part => part.tagName.toLowerCase()))];
        const links = [...document.querySelectorAll("[href], [src]")].map(
          part => part.getAttribute("href") || part.getAttribute("src"));
        const heads = document.querySelectorAll("head title, head style").length;
        return {owned: window.owned, attributes, tags, links, heads, text: document.body.textContent};
        """
    )
    assert found["owned"] is None
    assert found["attributes"] == []
    assert not {"script", "iframe", "object", "embed", "form", "input", "foreignobject", "base"} & set(
        found["tags"]
    )
    assert not [link for link in found["links"] if not link.startswith(("#", "data:image/png;", "data:,"))]
    assert found["heads"] == 2
    assert not [text for text in HOSTILE.values() if not shows(found["text"], title(text))]
    assert "49" not in re.findall(r"\$\{?(\d+)", found["text"])
    assert page.script("return document.title").startswith("hostile")
    page.picture("report-hostile", whole=False)
    assert not [address for address in page.requests() if ELSEWHERE in address]
    page.driver.switch_to.default_content()
