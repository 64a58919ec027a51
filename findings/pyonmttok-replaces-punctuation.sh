#!/bin/sh
# pyonmttok 1.38.1 (OpenNMT Tokenizer): a round trip replaces full-width punctuation and block characters.
#
# Guess, before the run: detokenize(tokenize(text)) is the text, up to blanks, as joiners are annotated.
# Seen: the full-width colon and percent sign of Chinese and Japanese text become their ASCII forms, the low block
# of SentencePiece becomes an underscore and the joiner a black square, in every mode; other full-width
# punctuation stays. `no_substitution=True` keeps them all.
# Hurt: references that went through it differ from the raw ones: exact match and BLEU fall for no reason that
# the model could do anything about, and two copies of a corpus no longer compare equal.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyonmttok==1.38.1
cat >"$folder/look.py" <<'PYTHON'
import pyonmttok

TEXTS = ["时间：十点", "涨了５％", "你好，世界。", "low▁block", "half￭joined"]
for keep in (False, True):
    for mode in ("conservative", "aggressive", "char"):
        tokenizer = pyonmttok.Tokenizer(mode, joiner_annotate=True, no_substitution=keep)
        back = [tokenizer.detokenize(tokenizer.tokenize(text)[0]) for text in TEXTS]
        print(f"no_substitution={keep} {mode}:", " | ".join(back))
PYTHON
cat >"$folder/expected" <<'TEXT'
no_substitution=False conservative: 时间:十点 | 涨了５% | 你好，世界。 | low_block | half■joined
no_substitution=False aggressive: 时间:十点 | 涨了５% | 你好，世界。 | low_block | half■joined
no_substitution=False char: 时间:十点 | 涨了５% | 你好，世界。 | low_block | half■joined
no_substitution=True conservative: 时间：十点 | 涨了５％ | 你好，世界。 | low▁block | half￭joined
no_substitution=True aggressive: 时间：十点 | 涨了５％ | 你好，世界。 | low▁block | half￭joined
no_substitution=True char: 时间：十点 | 涨了５％ | 你好，世界。 | low▁block | halfjoined
TEXT
"$folder/venv/bin/python" "$folder/look.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
