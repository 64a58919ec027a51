#!/bin/sh
# torch 2.13.0: a float64 `nn.TransformerEncoderLayer` is not causal with the float32 mask that torch itself makes.
#
# Guess, before the run: a mask of another number format is converted, or refused, as bfloat16 and float64 masks are.
# Seen: with `nn.Transformer.generate_square_subsequent_mask(n)`, which is float32 unless told otherwise, a layer in float64
# gives other outputs at earlier positions when a later one changes, in training and in evaluation, while gradients are
# recorded; without gradients, with a boolean mask, and with a float64 mask it does not. Nothing is said.
# Hurt: gradient checks and other work in float64 (`model.double()`): the model that is checked sees its answers, and an
# evaluation under `no_grad` looks right.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat >"$folder/look.py" <<'PYTHON'
import torch
from torch import nn

torch.manual_seed(0)
layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True).double()
words = torch.randn(2, 9, 32, dtype=torch.float64)
other = words.clone()
other[:, 6] += 1
causal = nn.Transformer.generate_square_subsequent_mask
masks = {"float32": causal(9), "float64": causal(9, dtype=torch.float64), "bool": causal(9).isinf()}
for name, mask in masks.items():
    for training, gradients in ((True, True), (False, True), (False, False)):
        layer.train(training)
        with torch.set_grad_enabled(gradients):
            moved = (layer(words, src_mask=mask) - layer(other, src_mask=mask))[:, :6].abs().max().item()
        mode = "training" if training else "evaluation"
        says = "sees later positions" if moved > 0.01 else "is causal" if moved == 0 else f"moves by {moved}"
        print(f"{name} mask, {mode}, {'with' if gradients else 'without'} gradients: {says}")
PYTHON
cat >"$folder/expected" <<'TEXT'
float32 mask, training, with gradients: sees later positions
float32 mask, evaluation, with gradients: sees later positions
float32 mask, evaluation, without gradients: is causal
float64 mask, training, with gradients: is causal
float64 mask, evaluation, with gradients: is causal
float64 mask, evaluation, without gradients: is causal
bool mask, training, with gradients: is causal
bool mask, evaluation, with gradients: is causal
bool mask, evaluation, without gradients: is causal
TEXT
"$folder/venv/bin/python" "$folder/look.py" 2>/dev/null | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
