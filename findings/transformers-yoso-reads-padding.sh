#!/bin/sh
# transformers 5.24.0: YOSO takes an attention mask, and reads what it hides.
#
# Guess, before the run: words at positions where `attention_mask` is 0 move no score at the other positions.
# Seen: they do, by more than 0.001, in a model with random weights. The attention expects a mask of 0 and -10000 and adds 1
# after dividing it by 10000; the model hands it one of 0 and 1, so that next to nothing is hidden.
# Hurt: every batch with padding: what a sentence is given for depends on the longest one beside it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6 transformers==5.24.0
cat >"$folder/look.py" <<'PYTHON'
import torch
import transformers

transformers.logging.set_verbosity_error()
for name in ("Yoso", "Bert"):
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(
        vocab_size=60,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=66,
    )
    model = getattr(transformers, f"{name}ForMaskedLM")(config).eval()
    ids = torch.randint(4, 60, (1, 9))
    real = torch.arange(9)[None] < 6
    others = torch.where(real, ids, (ids - 3) % 56 + 4)
    with torch.no_grad():
        one, other = (model(some, attention_mask=real.long()).logits[real] for some in (ids, others))
    moved = (one - other).abs().max().item()
    print(f"{name}: hidden words {'move scores' if moved > 0.001 else 'move nothing'}")
PYTHON
cat >"$folder/expected" <<'TEXT'
Yoso: hidden words move scores
Bert: hidden words move nothing
TEXT
"$folder/venv/bin/python" "$folder/look.py" 2>/dev/null | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
