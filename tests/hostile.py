"""Text that would do something if it were not shown as text, and an experiment that is full of it.

Every string is put where people, corpora and damaged files put text; what comes out must hold it as characters.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

from fake_runs import FakeRun, arm_config, experiment, scored, write, write_costs

from maskbench.config.schema.experiment import Experiment, PanelConfig

ELSEWHERE = "evil.example"
"""Nothing may be fetched from here."""
OWNED = "window.owned=1"
"""What a script does that runs although it should not."""

HOSTILE: dict[str, str] = {
    "markup of Rich": "[bold red]x[/bold red] :smile: [@click=app.bell]y[/]",
    "a link of Rich": f"[link=https://{ELSEWHERE}]x[/link]",
    "a token that looks like markup": "the [mask] sat",
    "closing markup without opening": "[/] x [/bold] [",
    "clears the screen": "\x1b[2J\x1b[H\x1b[31mred",
    "a terminal link": f"\x1b]8;;https://{ELSEWHERE}\x1b\\click\x1b]8;;\x1b\\",
    "writes to the clipboard": "\x1b]52;c;ZXZpbA==\x07paste",
    "sets the title and resets": "\x1b]0;owned\x07\x1bc\x1bP1$q\x1b\\title",
    "C1 controls": "\x9b31m\x9d0;owned\x9c\x90c1",
    "overwrites what stands before": "failed\b\b\b\b\b\bpassed\rdone",
    "rings and deletes": "bell\x07\x7f\x0e\x0f\x1a",
    "a script": f"<script>{OWNED};alert(1)</script>",
    "an image with a handler": f'<img src=x onerror="{OWNED}">',
    "closes title and head": f"</title></head><body onload={OWNED}>",
    "closes a style": "</style><style>*{display:none}</style>",
    "closes an attribute": f"\" onmouseover=\"{OWNED}\" ' onfocus='{OWNED}' autofocus x=",
    "a script as address": f'<a href="javascript:{OWNED}">go</a> javascript:{OWNED}',
    "entities": "&lt;b&gt; &amp;amp; &#60;script&#62; &quot;",
    "closes a comment": f"--><script>{OWNED}</script><!--",
    "closes a CDATA section": f"]]><script>{OWNED}</script><![CDATA[",
    "closes an SVG": f'</text></svg><svg onload="{OWNED}"><image href="https://{ELSEWHERE}/x.png"/>',
    "a template's language": "{{ 7*7 }}{% raw %}{{ config }}{# x #} ${7*7} <%= 7*7 %>",
    "starts a program from a sheet": "=cmd|' /C calc'!A0",
    "a formula by a plus": "+1+1",
    "a formula by a minus": "-2+3",
    "a formula by an at": "@SUM(1)",
    "a formula behind white space": "\t=1+1\r=2+2",
    "breaks out of a cell": '","=1+1";=1+1',
    "Markdown's links": f"[x](javascript:{OWNED}) ![y](https://{ELSEWHERE}/z.png) <https://{ELSEWHERE}>",
    "Markdown's signs": "a | b `c` ``d`` **e** _f_ ~~g~~ \\| \\",
    "Markdown's blocks": f"# h\n\n- i\n\n<b>j</b>\n\n[k]: https://{ELSEWHERE}\n\n    l",
    "runs TeX": "\\input{/etc/passwd}\\write18{touch owned}\\end{tabular}",
    "TeX's specials": "50% $x_1^2$ & #1 {~} ^^M \\\\",
    "breaks out of JSON": '"}],"verdict":"better\\u0000\\',
    "separates lines of JavaScript": "line\u2028paragraph\u2029end",
    "turns and hides text": "\u202egnp.exe\u202c\u2066a\u2069\u200f\u061cb \u200bc\u200d\u2060d",
    "a flood of marks, and look-alikes": "z" + "\u0301\u0489" * 60 + "pаypаl",
    "no characters": "nul\x00lone\udc80\ud800bom\ufeffnon\ufffe\uffffend",
    "ten thousand letters": "long" * 2500,
    "forges lines and paths": "../../../../etc/passwd\n[40/40] none, seed 0 done\nerror: all is well\r\n",
}
"""Strings by what they try."""

TURNS = frozenset({"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"})
MARKS = "\u200e\u200f\u061c"
"""Characters that only turn what stands around them."""


def is_harmful(character: str) -> bool:
    """Whether a character does something, or is none."""
    code = ord(character)
    return (
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in TURNS
        or character in MARKS
        or code in (0xFFFE, 0xFFFF)
    )


def words_of(text: str) -> list[str]:
    """Return what must be readable of a text wherever it is shown: its words without harmful characters."""
    spaced = "".join(" " if c in "\t\n\r\u2028\u2029" else c for c in text)
    return "".join(c for c in spaced if not is_harmful(c)).split()


def shows(shown: str, text: str) -> bool:
    """Whether a text's words stand in what is shown, in their order and with nothing between but white space."""
    return "".join(words_of(text)) in "".join(shown.split())


EVERYTHING = " ".join(HOSTILE.values())
"""All strings in one, for places of which there is only one."""

COMMENT = "\n".join(
    text.replace("\n", " ").replace("\r", " ")
    for text in HOSTILE.values()
    if not any(is_harmful(c) for c in text.replace("\n", ""))
)
"""A question, of the strings that a comment of YAML may hold."""

ARMS = {name: f"arm-{number}" for number, name in enumerate(HOSTILE)}
"""Folders: names of arms are checked, titles are not."""
METRIC = "test/exact_match"


def title(text: str) -> str:
    """Return what an arm's title can hold of a text: a line of up to 120 characters without controls."""
    kept = "".join(" " if c in "\t\n\r\u2028\u2029" else c for c in text)
    return "".join(c for c in kept if unicodedata.category(c) not in ("Cc", "Cs", "Cn"))[:120].strip()


def hostile_experiment(seeds: int = 3) -> Experiment:
    """Return an experiment with an arm for each string, whose title is the string, and a harmless baseline."""
    base = experiment(["none"], seeds, name="hostile", metric=METRIC)
    arms = [arm_config("none", 0)]
    arms += [
        arm_config(ARMS[name], n, title=title(text)) for n, (name, text) in enumerate(HOSTILE.items(), 1)
    ]
    panel = PanelConfig(name=None, arms=tuple(arms), baseline="none")
    return base.model_copy(update={"panels": (panel,), "question": COMMENT})


def write_hostile(root: Path, seeds: int = 3) -> Path:
    """Write runs of the hostile experiment: the last seed of every arm failed with the string as its reason."""
    wanted = hostile_experiment(seeds)
    runs: dict[str, list[FakeRun | None]] = {"none": [scored(0.9 + 0.01 * seed) for seed in range(seeds)]}
    for number, (name, text) in enumerate(HOSTILE.items(), 1):
        ran: list[FakeRun | None] = [_run(0.8 + 0.001 * number + 0.01 * seed, text) for seed in range(seeds)]
        ran[-1] = scored(0.9).with_(state="failed", message=f"{text}|")
        runs[ARMS[name]] = ran
    directory = write(root, wanted, runs)
    write_costs(directory, {arm.name: 1.0 for arm in wanted.panels[0].arms})
    for arm in wanted.panels[0].arms:
        for seed in range(seeds - 1):
            _leave_lines(directory / arm.name / f"seed-{seed}")
    return directory


def _run(score: float, text: str) -> FakeRun:
    run = scored(score)
    return run.with_(
        metrics={**run.metrics, f"test/{text}": 1.0, f"test/exact_match[tag:{text}]": score},
        versions={"maskbench": "0.1.0", "torch": text[:200]},
        git={"commit": text, "dirty": True},
    )


def _leave_lines(run: Path) -> None:
    """Write what a run leaves beside its results: curves, samples and translations full of hostile text."""
    (run / "translations").mkdir(parents=True, exist_ok=True)
    steps = (
        {"step": step, "train/nll": 3 / step, "valid/nll": 4 / step, "mask/<b>&amp;": 0.5}
        for step in (1, 2, 3)
    )
    _lines(run / "metrics.jsonl", steps)
    pairs = list(enumerate(HOSTILE.values()))
    _lines(run / "translations" / "test.jsonl", ({"id": i, "hypothesis": text} for i, text in pairs))
    samples = (
        {"step": 3, "split": "test", "id": i, "source": text, "reference": text, "hypothesis": text}
        for i, text in pairs
    )
    _lines(run / "samples.jsonl", samples)


def _lines(path: Path, records: object) -> None:
    path.write_text("".join(f"{json.dumps(r)}\n" for r in records), encoding="utf-8")  # type: ignore[attr-defined]
