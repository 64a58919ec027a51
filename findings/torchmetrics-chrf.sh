#!/bin/sh
# torchmetrics 1.9.0: CHRFScore is not sacreBLEU's chrF, with any settings.
#
# Guess, before the run: its default is the chrF2 that sacreBLEU computes by default, divided by 100.
# Seen: the default counts words as well (chrF++, `n_word_order=2`). And with equal settings the numbers still differ:
# sacreBLEU takes the F-score of the mean precision and the mean recall over n-gram orders, torchmetrics the mean of the
# F-scores of the orders.
# Hurt: chrF copied from a training log into a table beside sacreBLEU's.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torchmetrics==1.9.0 sacrebleu==2.6.0 torch==2.13.0 numpy==2.4.6
cat >"$folder/look.py" <<'PYTHON'
import sacrebleu
from torchmetrics.text import CHRFScore

hypotheses = ["the cat sat on a mat .", "he is there now yes"]
references = ["the cat sat on the mat .", "he was there now and yes"]
lists = [[reference] for reference in references]
print("sacreBLEU chrF  ", round(sacrebleu.corpus_chrf(hypotheses, [references]).score, 3))
print("sacreBLEU chrF++", round(sacrebleu.corpus_chrf(hypotheses, [references], word_order=2).score, 3))
print("torchmetrics default       ", round(float(CHRFScore()(hypotheses, lists)) * 100, 3))
print("torchmetrics n_word_order=0", round(float(CHRFScore(n_word_order=0)(hypotheses, lists)) * 100, 3))
PYTHON
cat >"$folder/expected" <<'TEXT'
sacreBLEU chrF   57.342
sacreBLEU chrF++ 58.582
torchmetrics default        58.555
torchmetrics n_word_order=0 57.337
TEXT
"$folder/venv/bin/python" "$folder/look.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
