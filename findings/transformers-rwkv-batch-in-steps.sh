#!/bin/sh
# transformers 5.24.0: RWKV decodes a batch wrongly: the rows read one another from the second step on.
#
# Guess, before the run: one new token with the state of the tokens before gives the scores of the whole pass, for each row.
# Seen: with one row it does; with two rows a step returns two positions for each row, with other scores. In a step the shifted
# input has the shape [batch, width] and is mixed with [batch, 1, width], which gives [batch, batch, width].
# Hurt: everybody who generates with RWKV for more than one prompt at a time.
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
config = transformers.RwkvConfig(
    vocab_size=60, hidden_size=32, attention_hidden_size=32, intermediate_size=64, num_hidden_layers=2, context_length=64
)
model = transformers.RwkvForCausalLM(config).eval()
ids = torch.randint(4, 60, (2, 8))
with torch.no_grad():
    for rows in (1, 2):
        some = ids[:rows]
        whole = model(some).logits[:, -1]
        state = model(some[:, :-1], use_cache=True).state
        step = model(some[:, -1:], state=state, use_cache=True).logits
        same = (step[:, -1] - whole).abs().max() < 1e-4
        says = "as in the whole pass" if same else "others than in the whole pass"
        print(f"a batch of {rows}: scores of shape {list(step.shape)}, {says}")
PYTHON
cat >"$folder/expected" <<'TEXT'
a batch of 1: scores of shape [1, 1, 60], as in the whole pass
a batch of 2: scores of shape [2, 2, 60], others than in the whole pass
TEXT
"$folder/venv/bin/python" "$folder/look.py" 2>/dev/null | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
