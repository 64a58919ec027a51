#!/bin/sh
# torch 2.13.0: an encoder layer with `norm_first` gives NaN for a row of padding alone, unless gradients are recorded.
#
# Guess, before the run: such a row is finite, as it is with `norm_first=False`, and recording gradients changes no number.
# Seen: in evaluation without gradients it is NaN; with gradients, or without the fast path, it is finite.
# Hurt: batches that are filled up with empty rows: what averages over the batch is NaN in evaluation, and finite wherever one looks with gradients.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat >"$folder/look.py" <<'PYTHON'
import torch
from torch import nn

torch.manual_seed(0)
vectors, padding = torch.randn(2, 5, 16), torch.tensor([[False] * 5, [True] * 5])
for norm_first in (False, True):
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=norm_first)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=not norm_first).eval()
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            out = encoder(vectors, src_key_padding_mask=padding)
        print(f"norm_first {norm_first}, gradients {gradients}: finite {out.isfinite().all().item()}")
PYTHON
cat >"$folder/expected" <<'TEXT'
norm_first False, gradients True: finite True
norm_first False, gradients False: finite True
norm_first True, gradients True: finite True
norm_first True, gradients False: finite False
TEXT
"$folder/venv/bin/python" "$folder/look.py" 2>/dev/null | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
