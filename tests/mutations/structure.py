"""Patterns over positions, documents, and masks that are made of others."""

from __future__ import annotations

from mutations.mutant import family

WINDOWS, STRUCTURE_, SPARSE, DRAWN = (f"masks/{n}.py" for n in ("windows", "structure", "sparse", "drawn"))
HEADS, DOCUMENTS, COMPOSE, PARTS = (f"masks/{n}.py" for n in ("heads", "documents", "compose", "parts"))
T, IN_SPARSE, IN_HEADS = "masks/test_structure.py", "masks/test_sparse.py", "masks/test_heads.py"
IN_DOCUMENTS, IN_COMPOSE, IN_WAIT_K = (
    "masks/test_documents.py",
    "masks/test_compose.py",
    "masks/test_wait_k.py",
)
CONFORMS = "masks/test_conformance.py"

STRUCTURE = family(
    "structure",
    ("polarity", WINDOWS, "inside & (ahead >= -left)", "inside & (ahead < -left)", T),
    ("axes", WINDOWS, "ahead = kv_idx - q_idx", "ahead = q_idx - kv_idx", T),
    ("off by one", WINDOWS, "inside & (ahead <= right)", "inside & (ahead < right)", T),
    ("dilation", WINDOWS, "((kv_idx - q_idx) % at.dilation == 0)", "(kv_idx % at.dilation == 0)", T),
    ("axes", WINDOWS, "(kv_idx < int(at.sinks))", "(q_idx < int(at.sinks))", T),
    ("legality", WINDOWS, " and options.sinks == 1", "", f"{T} {IN_WAIT_K}"),
    (
        "density",
        WINDOWS,
        "max(0, n - 1 - sink - left)",
        "max(0, n - sink - left)",
        f"{CONFORMS} -k density and window",
    ),
    ("polarity", STRUCTURE_, "return kv_idx <= q_idx", "return kv_idx >= q_idx", T),
    ("axes", STRUCTURE_, "(kv_idx < int(at.prefix))", "(q_idx < int(at.prefix))", T),
    (
        "empty rows",
        COMPOSE,
        "len(parts) > 1 or parts[0].may_empty_rows",
        "parts[0].may_empty_rows",
        IN_COMPOSE,
    ),
    (
        "bank",
        PARTS,
        "all(p.sliceable for p in parts)",
        "any(p.sliceable for p in parts)",
        f"{IN_COMPOSE} {CONFORMS} -k bank or corner",
    ),
)
