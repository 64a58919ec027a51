#!/bin/sh
# tbparse 0.0.9: the steps of a resumed run that TensorBoard replaces are read twice.
#
# Guess, before the run: tbparse returns what TensorBoard shows, as it reads by TensorBoard's own accumulator.
# Seen: a run logs steps 0 to 9 and is resumed from step 5 with `purge_step=5`. TensorBoard's accumulator drops
# the old steps 5 to 9; tbparse returns both values of each, and with `pivot=True` a cell holds a list.
# Hurt: means over steps and "last value" of runs that were interrupted; a table of floats becomes one of objects.
# Instead: drop duplicates by step and keep the last by wall time, or read with EventAccumulator.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tbparse==0.0.9 tensorboard==2.21.0 tensorboardX==2.6.4 pandas==3.1.1
cat >"$folder/look.py" <<'PYTHON'
import tempfile
import time

from tbparse import SummaryReader
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX import SummaryWriter

folder = tempfile.mkdtemp()
for start, end, value, purge in ((0, 10, 1.0, None), (5, 12, 2.0, 5)):
    with SummaryWriter(folder, purge_step=purge) as writer:
        for step in range(start, end):
            writer.add_scalar("loss", value, step)
    time.sleep(1.1)  # Event files are ordered by the second in which they were made.

accumulator = EventAccumulator(folder)
accumulator.Reload()
print("TensorBoard:", [(event.step, event.value) for event in accumulator.Scalars("loss")])
found = SummaryReader(folder).scalars
print("tbparse:", list(zip(found.step.tolist(), found.value.tolist())))
print("pivot, step 7:", SummaryReader(folder, pivot=True).scalars.set_index("step").loss[7])
PYTHON
cat >"$folder/expected" <<'TEXT'
TensorBoard: [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 2.0), (6, 2.0), (7, 2.0), (8, 2.0), (9, 2.0), (10, 2.0), (11, 2.0)]
tbparse: [(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 1.0), (5, 2.0), (6, 1.0), (6, 2.0), (7, 1.0), (7, 2.0), (8, 1.0), (8, 2.0), (9, 1.0), (9, 2.0), (10, 2.0), (11, 2.0)]
pivot, step 7: [1.0, 2.0]
TEXT
"$folder/venv/bin/python" "$folder/look.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
