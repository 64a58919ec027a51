#!/bin/sh
# transformers 5.24.0: the sparse layers of NLLB-MoE run two of their experts, whatever the router chose.
#
# Guess, before the run: a sparse layer shows the effects of its capacity (a token left out when its expert is full) and no others.
# Seen: of four experts two run, on every token. The mask of chosen experts, zeros and ones, is read as if it held the numbers of experts.
# Hurt: whoever loads or trains an NLLB-MoE model with this version: all other experts are without effect and without gradient.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6 transformers==5.24.0
cat >"$folder/look.py" <<'PYTHON'
import torch
import transformers

transformers.logging.set_verbosity_error()
torch.manual_seed(0)
config = transformers.NllbMoeConfig(
    vocab_size=60,
    d_model=32,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    encoder_ffn_dim=64,
    decoder_ffn_dim=64,
    num_experts=4,
    encoder_sparse_step=1,
    decoder_sparse_step=1,
)
layer = transformers.NllbMoeForConditionalGeneration(config).eval().model.encoder.layers[0].ffn
ran = set()
for name, expert in layer.experts.items():
    expert.register_forward_hook(lambda *_, name=name: ran.add(name))
with torch.no_grad():
    vectors = torch.randn(1, 40, 32)
    chosen = layer.router(vectors[0])[0]
    layer(vectors)
print("experts that the router chose:", int((chosen.sum(0) > 0).sum()))
print("experts that ran:", *sorted(ran))
PYTHON
cat >"$folder/expected" <<'TEXT'
experts that the router chose: 4
experts that ran: expert_0 expert_1
TEXT
"$folder/venv/bin/python" "$folder/look.py" 2>/dev/null | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
