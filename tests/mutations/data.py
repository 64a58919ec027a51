"""What the corpus tells of itself."""

from __future__ import annotations

from mutations.mutant import family

BATCHES, FACTS, ANNOTATE = "data/batches.py", "masks/corpus_statistics.py", "data/generation/annotations.py"
T = "data/generation/test_data_annotations.py"

DATA = family(
    "data",
    ("polarity", BATCHES, "_pad(split.junk, ids)[0] == 1", "_pad(split.junk, ids)[0] == 0", T),
    ("axes", BATCHES, "np.divmod(values, src_lengths[example])", "np.divmod(values, src_lengths.max())", T),
    (
        "off by one",
        BATCHES,
        "first = np.cumsum(counts) - counts",
        "first = np.cumsum(counts) - counts + 1",
        T,
    ),
    ("polarity", ANNOTATE, "[1 if p == INSERTED else old[p]", "[0 if p == INSERTED else old[p]", T),
    ("off by one", ANNOTATE, "t * (len(places) + 1) + now[s]", "t * len(places) + now[s]", T),
    (
        "axes",
        FACTS,
        "len(train.tgt.values) / max(1, len(train.src.values))",
        "len(train.src.values) / max(1, len(train.tgt.values))",
        "masks/test_corpus_statistics.py",
    ),
    (
        "side",
        FACTS,
        "for side in (train.src, train.tgt))",
        "for side in (train.src, train.src))",
        "masks/test_corpus_statistics.py",
    ),
    (
        "legality",
        BATCHES,
        "return np.where(real, rows.values[places], PAD)",
        "return rows.values[places]",
        "data/test_data_batches.py",
    ),
    (
        "legality",
        BATCHES,
        "np.where(np.arange(1, tgt_out.shape[1]) < tgt_lengths[:, None], tgt_out[:, :-1], PAD)",
        "tgt_out[:, :-1]",
        "data/test_data_batches.py",
    ),
)
