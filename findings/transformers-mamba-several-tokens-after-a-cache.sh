#!/bin/sh
# transformers 5.24.0: Mamba continued from its cache with several tokens forgets what came before.
#
# Guess, before the run: a prompt, then three tokens at once with the cache, gives the scores of the whole sentence, as three single steps do.
# Seen: it does not; the recurrent state of the cache is read for a single token alone, and the scan of several begins at zeros.
# A difference of 1e-11 in Zamba, which looked like rounding, was the same fault in a small state.
# Hurt: prompts read in pieces, the next turn of a conversation, drafts that are verified several tokens at a time. No error is raised.
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
config = transformers.MambaConfig(vocab_size=60, hidden_size=32, num_hidden_layers=2, initializer_range=0.2)
model = transformers.MambaForCausalLM(config).eval()
ids = torch.randint(4, 60, (1, 12))
with torch.no_grad():
    whole = model(ids).logits[:, 9:]
    for step in (1, 3):
        cache = model(ids[:, :9], use_cache=True).cache
        found = []
        for start in range(9, 12, step):
            out = model(ids[:, start : start + step], cache=cache, use_cache=True)
            cache = out.cache
            found.append(out.logits)
        same = torch.allclose(torch.cat(found, 1), whole, atol=1e-4)
        print(f"{step} at a time: {'the scores of the whole sentence' if same else 'other scores'}")
PYTHON
cat >"$folder/expected" <<'TEXT'
1 at a time: the scores of the whole sentence
3 at a time: other scores
TEXT
"$folder/venv/bin/python" "$folder/look.py" 2>/dev/null | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
