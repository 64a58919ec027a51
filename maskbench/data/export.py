"""Export a corpus as text: a table of pairs, or JSON lines with annotations.

Other programs and the corpus `files` can read both.

A table has two columns, source and target; reading it back gives the same lines. JSON lines also have every
annotation of the corpus, by token, without the end marks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from maskbench.data.corpus import Ragged, Split
from maskbench.data.text.pair_files import is_header
from maskbench.data.text.table_rows import find_quoting
from maskbench.data.text.text_files import BYTE_ORDER_MARK
from maskbench.errors import CorpusError


def format_table(split: Split) -> str:
    """Return one split as lines of `source<tab>target`.

    Quotation marks are text, as in most tables, unless reading would take them for those of a csv writer: then
    every field that holds one is written as a csv writer does. A header is written only if reading would take
    the first pair for one.

    Raises:
        CorpusError: a line contains what a table cannot hold, so it could not be read back.
    """
    pairs = list(zip(split.sources, split.references, strict=True))
    for number, pair in enumerate(pairs, start=1):
        for side, text in zip(("source", "target"), pair, strict=True):
            if problem := next((problem for mark, problem in _UNFIT.items() if mark in text), None):
                raise CorpusError(
                    f"pair {number} of {split.name} has {problem} in its {side}, so a table of it could not be read back;"
                    " export .jsonl"
                )
    lines = ["\t".join(pair) for pair in pairs]
    if find_quoting(lines).is_csv:
        lines = ["\t".join(map(_quoted, pair)) for pair in pairs]
    if pairs and is_header(pairs[0]):
        lines.insert(0, "src\ttgt")
    return "".join(f"{line}\n" for line in lines)


_UNFIT: Final = {
    "\t": "a tab",
    "\n": "a line end",
    "\r": "a carriage return",
    "\0": "a NUL character",
    BYTE_ORDER_MARK: "a byte order mark",
}
"""What a table cannot hold, or reading would not take for text everywhere."""


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if '"' in text else text


def format_json_lines(splits: Sequence[Split], tags: Sequence[str]) -> str:
    """Return splits as one JSON object per line: `split`, `src`, `tgt`, and the annotations.

    Tokens are numbered from 0. `align` has pairs of a source and a target token, `deps` a list of source
    tokens for every target token. `tags` has a name for every target token; `junk` has 1 for a source token
    without meaning, 0 for the others.
    """
    return "".join(
        f"{json.dumps(row, ensure_ascii=False)}\n" for split in splits for row in _rows(split, tags)
    )


def _rows(split: Split, tags: Sequence[str]) -> Iterator[dict[str, Any]]:
    for i, (source, reference) in enumerate(zip(split.sources, split.references, strict=True)):
        yield {"split": split.name, "src": source, "tgt": reference, **export_annotations(split, i, tags)}


def export_annotations(split: Split, index: int, tags: Sequence[str]) -> dict[str, Any]:
    """Return the annotations of pair `index` as `format_json_lines` writes them; absent ones have no key."""
    known: dict[str, Any] = {}
    n_src, n_tgt = len(split.src[index]), len(split.tgt[index])
    if split.links is not None:
        known["align"] = [[s, t] for t, s in _by_word(split.links, index, n_src, n_tgt)]
    if split.tags is not None:
        known["tags"] = [tags[number] for number in split.tags[index][:-1].tolist()]
    if split.deps is not None:
        known["deps"] = [[] for _ in range(n_tgt - 1)]
        for t, s in _by_word(split.deps, index, n_src, n_tgt):
            known["deps"][t].append(s)
    if split.junk is not None:
        known["junk"] = split.junk[index][:-1].tolist()
    return known


def _by_word(links: Ragged, index: int, n_src: int, n_tgt: int) -> Iterator[tuple[int, int]]:
    """Yield the target and source token of every link, without links of end marks."""
    for t, s in (divmod(link, n_src) for link in links[index].tolist()):
        if t < n_tgt - 1 and s < n_src - 1:
            yield t, s
