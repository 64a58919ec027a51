"""Makes figures as SVG elements that use the page's colours and font.

matplotlib draws in colours that stand for roles (`palette`) and writes `style` attributes, which the page's
content security policy refuses. So the SVG is rewritten: styles become presentation attributes, colours
become variables of the page's style sheet (which also has a dark theme), fonts are left to the page, and
ids become unique in the page.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup

from maskbench.report.palette import INK, MUTED, RULE, VARIABLES
from maskbench.text import sanitize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS_PER_INCH = 72
"""Points per inch; matplotlib writes SVG in points, so a figure of width 400 is 400 units wide in the SVG."""
_LETTERS = 11.0
_HREF = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
# The page sets these for all figures.
_DROPPED_LOOKS = ("font-family", "font")


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure in the page."""

    svg: Markup
    caption: str
    """Text that explains what the figure shows."""
    arms: tuple[str, ...] = ()
    """The arms that the legend shows."""


@contextmanager
def default_matplotlib_settings() -> Iterator[None]:
    """Use matplotlib's default settings in the body, and restore the user's settings afterwards."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield


def make_figure(width: float, height: float) -> Figure:
    """Return an empty figure, its size in points; it is not registered in pyplot's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / POINTS_PER_INCH, height / POINTS_PER_INCH), layout="constrained")


def add_axes(figure: Figure) -> Axes:
    """Add axes to a figure, without top and right spines, and return them."""
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(RULE)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=_LETTERS, length=3, width=0.8)
    axes.xaxis.label.set(color=INK, fontsize=_LETTERS)
    axes.yaxis.label.set(color=INK, fontsize=_LETTERS)
    return axes


def render_svg(figure: Figure, name: str, title: str, description: str) -> Markup:
    """Return the figure as an SVG element of an HTML page.

    Args:
        name: unique among the figures of the page; letters, digits and hyphens.
        title: what the figure shows, for screen readers.
        description: the figure's numbers as text, for screen readers.
    """
    root = ElementTree.fromstring(_drawn(figure, name))
    _take_namespaces(root)
    for unwanted in ("metadata", "defs/style"):
        parent = root if "/" not in unwanted else root.find(unwanted.partition("/")[0])
        child = None if parent is None else parent.find(unwanted.rpartition("/")[2])
        if parent is not None and child is not None:
            parent.remove(child)
    background = root.find("g/g/path")
    if background is not None:
        background.set("style", "fill: none")
    for element in root.iter():
        _unstyle(element)
    _rename(root, name)
    _label(root, name, title, description)
    return Markup(ElementTree.tostring(root, encoding="unicode").replace("\n", " "))


def _drawn(figure: Figure, name: str) -> bytes:
    import matplotlib

    file = io.BytesIO()
    # The ids of clip paths and markers are hashes; without a fixed salt they would be random.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        # matplotlib warns about glyphs that its font lacks; the browser has them.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    return file.getvalue()


def _take_namespaces(root: ElementTree.Element) -> None:
    """Remove namespaces, which HTML's `svg` element does not need, and the root's size and version."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        if _HREF in element.attrib:
            element.set("href", element.attrib.pop(_HREF))
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)


def _unstyle(element: ElementTree.Element) -> None:
    """Turn an element's `style` into presentation attributes, with the page's variables as colours."""
    for look in element.attrib.pop("style", "").split(";"):
        key, _, value = (part.strip() for part in look.partition(":"))
        if key and key not in _DROPPED_LOOKS:
            element.set(key, VARIABLES.get(value, value))
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    for key in ("d", "x", "y", "transform", "points"):
        if key in element.attrib:
            element.set(key, _NUMBER.sub(_rounded, element.attrib[key]).replace("\n", ""))
    element.text = element.text.strip() if element.text and element.tag != "text" else element.text
    element.tail = None


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}"


def _rename(root: ElementTree.Element, name: str) -> None:
    """Remove ids without references, and prefix the others with the figure's name."""
    wanted = set(_referred(root))
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in wanted:
            element.set("id", f"{name}-{own}")
        if element.get("href", "").startswith("#"):
            element.set("href", f"#{name}-{element.attrib['href'][1:]}")
        if "clip-path" in element.attrib:
            element.set("clip-path", _REFERENCE.sub(rf"url(#{name}-\1)", element.attrib["clip-path"]))


def _referred(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        yield element.get("href", "").removeprefix("#")
        yield from _REFERENCE.findall(element.get("clip-path", ""))


def _label(root: ElementTree.Element, name: str, title: str, description: str) -> None:
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-description")
    for place, (tag, part, text) in enumerate(
        (("title", "title", title), ("desc", "description", description))
    ):
        element = ElementTree.Element(tag, id=f"{name}-{part}")
        element.text = sanitize(text)
        root.insert(place, element)
