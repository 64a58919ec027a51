#!/bin/sh
# transformers 5.24.0: an attention mask of ones turns every score of ProphetNet in float64 into NaN.
#
# Guess, before the run: a mask of ones changes nothing, in float64 as in float32.
# Seen: in float32 nothing changes; in float64 all scores are NaN. The model multiplies one minus the mask, which is float32
# whatever the model's format is, by the smallest number of the model's format. In float32 that is minus infinity, and zero
# times infinity is NaN. Without the mask the same model is finite in float64.
# Hurt: who checks a model in float64, as tests of gradients and of masks do, or trains in it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.24.0 torch==2.13.0 numpy==2.4.6
cat >"$folder/look.py" <<'PYTHON'
import torch
import transformers

torch.manual_seed(0)
sizes = dict(hidden_size=32, encoder_ffn_dim=64, decoder_ffn_dim=64, vocab_size=60, max_position_embeddings=64)
layers = dict(num_encoder_layers=1, num_decoder_layers=1, num_encoder_attention_heads=4, num_decoder_attention_heads=4)
config = transformers.ProphetNetConfig(**sizes, **layers, pad_token_id=0)
model = transformers.ProphetNetForConditionalGeneration(config).eval()
source, target = torch.arange(5, 14)[None], torch.arange(7, 15)[None]
for dtype in (torch.float32, torch.float64):
    for mask in (None, torch.ones_like(source)):
        with torch.no_grad():
            scores = model.to(dtype)(input_ids=source, decoder_input_ids=target, attention_mask=mask).logits
        share = scores.isfinite().double().mean().item()
        print(f"{dtype}, {'no mask' if mask is None else 'mask of ones'}: {share:.0%} of the scores are finite")
PYTHON
cat >"$folder/expected" <<'TEXT'
torch.float32, no mask: 100% of the scores are finite
torch.float32, mask of ones: 100% of the scores are finite
torch.float64, no mask: 100% of the scores are finite
torch.float64, mask of ones: 0% of the scores are finite
TEXT
"$folder/venv/bin/python" "$folder/look.py" 2>/dev/null | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
