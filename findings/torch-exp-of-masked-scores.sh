#!/bin/sh
# torch 2.13.0 on a CPU: `exp` of float32 scores takes many times as long where masked scores are filled with -100.
#
# Guess, before the run: exp takes the same time whatever number stands at the hidden pairs.
# Seen: with half of the scores at -100 it takes several times as long as with all scores near 0 (20 times on the machine
# where this was found, 7 times with -1e30, twice with minus infinity); with -50 it takes the same. exp(-100) is smaller than
# the smallest normal number, and such results are computed slowly. `torch.set_flush_denormal(True)` mends the case of -100.
# Hurt: attention written by hand on a CPU with a finite fill, which many programs take to keep rows free of NaN.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat >"$folder/look.py" <<'PYTHON'
import statistics
import time

import torch

torch.set_num_threads(1)
torch.manual_seed(0)
scores = torch.randn(32, 64, 128)
hidden = torch.rand(64, 128) < 0.5


def ratio(fill):
    """Median time of exp with hidden scores at `fill` over that without hidden scores, taken in turn."""
    cases, seen = (scores, scores.masked_fill(hidden, fill)), ([], [])
    for _ in range(200):
        for case, times in zip(cases, seen):
            copy = case.clone()
            start = time.process_time()
            copy.exp_()
            times.append(time.process_time() - start)
    plain, filled = map(statistics.median, seen)
    return filled / plain


for fill in (-50.0, -100.0):
    print(f"fill {fill:g}: {'more than 3 times' if ratio(fill) > 3 else 'about'} the time without hidden scores")
PYTHON
cat >"$folder/expected" <<'TEXT'
fill -50: about the time without hidden scores
fill -100: more than 3 times the time without hidden scores
TEXT
"$folder/venv/bin/python" "$folder/look.py" 2>/dev/null | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
