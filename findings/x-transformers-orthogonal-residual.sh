#!/bin/sh
# x-transformers 2.31.10: a causal decoder with `orthog_residual` reads later tokens.
#
# Guess, before the run: none of some hundred options of a `Decoder` moves a prediction when a later token changes.
# Seen: this one and two options of the values do. The projection joins positions and features into one vector, so its coefficient is a sum
# over the whole sentence. Embedding 60 words in 32 numbers is enough to see it.
# Hurt: a language model trained with it has seen the words that it is asked for; its loss is too low, and its generation is another model.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6 x-transformers==2.31.10
cat >"$folder/look.py" <<'PYTHON'
import torch
from x_transformers import Decoder, TransformerWrapper

torch.manual_seed(0)
ids = torch.randint(4, 60, (1, 10))
other = ids.clone()
other[0, 9] = (ids[0, 9] - 3) % 56 + 4
for option in ({}, {"gate_residual": True}, {"orthog_residual": True}, {"attn_orthog_projected_values": True}):
    torch.manual_seed(0)
    layers = Decoder(dim=32, depth=2, heads=4, attn_dim_head=8, **option)
    model = TransformerWrapper(num_tokens=60, max_seq_len=16, attn_layers=layers).double().eval()
    with torch.no_grad():
        moved = (model(other) - model(ids))[0, :9].abs().max().item()
    name = next(iter(option), "no option")
    print(f"{name}: a later token moves {'earlier predictions' if moved > 1e-6 else 'nothing'}")
PYTHON
cat >"$folder/expected" <<'TEXT'
no option: a later token moves nothing
gate_residual: a later token moves nothing
orthog_residual: a later token moves earlier predictions
attn_orthog_projected_values: a later token moves earlier predictions
TEXT
"$folder/venv/bin/python" "$folder/look.py" 2>/dev/null | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
