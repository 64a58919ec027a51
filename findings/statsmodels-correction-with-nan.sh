#!/bin/sh
# statsmodels 0.15.0: corrections of p values treat a missing one in two silent ways.
#
# Guess, before the run: multipletests raises for NaN, or corrects the others as if it were absent.
# Seen: Holm, Bonferroni and Holm-Sidak count the missing p as a test, so the others are corrected for one more
# (0.01 becomes 0.03 beside one other p, not 0.02). Hochberg, Hommel and both false discovery rates return NaN for
# every p. Nothing is raised, no warning is given.
# Hurt: whoever has one arm without a result yet; every verdict of the family changes or disappears.
# Instead: take NaN out before the correction, and say whether the missing test counts.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check statsmodels==0.15.0 scipy==1.17.1 pandas==3.1.1
cat >"$folder/look.py" <<'PYTHON'
import numpy as np
from statsmodels.stats.multitest import multipletests

for method in ("holm", "bonferroni", "holm-sidak", "simes-hochberg", "hommel", "fdr_bh", "fdr_by"):
    whole, missing = (
        [round(float(p), 4) for p in multipletests(ps, method=method)[1]]
        for ps in ([0.01, 0.04], [0.01, np.nan, 0.04])
    )
    print(f"{method}: {whole} with NaN between: {missing}")
PYTHON
cat >"$folder/expected" <<'TEXT'
holm: [0.02, 0.04] with NaN between: [0.03, nan, 0.08]
bonferroni: [0.02, 0.08] with NaN between: [0.03, nan, 0.12]
holm-sidak: [0.0199, 0.04] with NaN between: [0.0297, nan, 0.0784]
simes-hochberg: [0.02, 0.04] with NaN between: [nan, nan, nan]
hommel: [0.02, 0.04] with NaN between: [nan, nan, nan]
fdr_bh: [0.02, 0.04] with NaN between: [nan, nan, nan]
fdr_by: [0.03, 0.06] with NaN between: [nan, nan, nan]
TEXT
"$folder/venv/bin/python" "$folder/look.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
