#!/bin/sh
# jiwer 4.0.0: the word error rate of an empty reference is a number of words, not a rate.
#
# Guess, before the run: an empty reference raises, as a rate over no words is undefined.
# Seen: it returns the number of inserted words, and 0 for an empty hypothesis. Beside other references it disappears
# into the total. A no-break space does not separate words, so one such blank makes an error rate of 2.
# Hurt: rates by sentence that are averaged: one empty reference with a long hypothesis outweighs hundreds of sentences.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jiwer==4.0.0
cat >"$folder/look.py" <<'PYTHON'
import jiwer

for reference, hypothesis in (("", "a b c d e f g"), ("", ""), ("a b", "a c"), ("a\u00a0b", "a b")):
    print(f"{reference!a} {hypothesis!a}: wer {jiwer.wer([reference], [hypothesis])}")
print("mean of three:", round(sum(jiwer.wer([r], [h]) for r, h in (("a b", "a b"), ("c d", "c d"), ("", "e f g"))) / 3, 3))
print("one corpus of three:", jiwer.wer(["a b", "c d", ""], ["a b", "c d", "e f g"]))
PYTHON
cat >"$folder/expected" <<'TEXT'
'' 'a b c d e f g': wer 7
'' '': wer 0
'a b' 'a c': wer 0.5
'a\xa0b' 'a b': wer 2.0
mean of three: 1.0
one corpus of three: 0.75
TEXT
"$folder/venv/bin/python" "$folder/look.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
