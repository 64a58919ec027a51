#!/bin/sh
# safetensors 0.8.0: equal tensors and equal metadata are written as different bytes by different processes.
#
# Guess, before the run: the same tensors and the same four entries of metadata give the same file.
# Seen: the entries of metadata stand in the file in another order in almost every process, so the sha256
# of the file differs. With one entry, or with none, the bytes are equal.
# Hurt: whoever tells checkpoints apart, stores or caches them by a hash of the file.
# Instead: keep one entry (a JSON text with sorted keys), or hash the tensors.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
cat >"$folder/look.py" <<'PYTHON'
import hashlib
import json
import subprocess
import sys

import numpy as np
from safetensors.numpy import save

TENSORS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.ones(2, np.float32)}
FOUR = {"seed": "1", "arm": "window", "step": "500", "code": "abc"}
CASES = {"none": None, "one": {"all": json.dumps(FOUR, sort_keys=True)}, "four": FOUR}

if len(sys.argv) > 1:
    print(hashlib.sha256(save(TENSORS, metadata=CASES[sys.argv[1]])).hexdigest())
else:
    for case in CASES:
        run = [sys.executable, __file__, case]
        hashes = {subprocess.run(run, capture_output=True, check=True).stdout for _ in range(12)}
        print(f"metadata {case}: {'one hash' if len(hashes) == 1 else 'several hashes'} in 12 processes")
PYTHON
cat >"$folder/expected" <<'TEXT'
metadata none: one hash in 12 processes
metadata one: one hash in 12 processes
metadata four: several hashes in 12 processes
TEXT
"$folder/venv/bin/python" "$folder/look.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
