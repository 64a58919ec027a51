#!/bin/sh
# TensorBoard 2.21.0, HParams page: one seed without a number vanishes from its group's mean, one with NaN takes it over,
# and it says neither.
#
# Guess, before the run: a group's metric is the mean over the sessions that have a finite number.
# Seen: a session that never logged the metric is left out without a mark; a session that logged NaN makes the
# group's mean NaN. Seen besides: sessions of one group with two values of a setting are one row that names one of them.
# Hurt: whoever reads a comparison of seeds off this page while some runs failed, diverged or were set up differently.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorboard==2.21.0 tensorboardX==2.6.4
cat >"$folder/look.py" <<'PYTHON'
import json
import tempfile
import time
import urllib.request

from tensorboard import program
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.event_file_writer import EventFileWriter

NAN = float("nan")
SESSIONS = [("absent", 1, 0.5), ("absent", 1, 0.7), ("absent", 1, None), ("nan", 1, 0.5), ("nan", 1, NAN)]
SESSIONS += [("mixed", 3, 0.1), ("mixed", 4, 0.2)]


def write(folder, *values):
    writer = EventFileWriter(folder)
    for value in values:
        writer.add_event(Event(wall_time=1.0, step=1, summary=Summary(value=[value])))
    writer.close()


def record(tag, data):
    described = metadata.create_summary_metadata(data)
    return Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)


root = tempfile.mkdtemp()
columns = api_pb2.Experiment(
    hparam_infos=[api_pb2.HParamInfo(name="lr", type=api_pb2.DATA_TYPE_FLOAT64)],
    metric_infos=[api_pb2.MetricInfo(name=api_pb2.MetricName(tag="accuracy"))],
)
write(root, record(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=columns)))
for number, (group, lr, accuracy) in enumerate(SESSIONS):
    start = SessionStartInfo(group_name=group, start_time_secs=1)
    start.hparams["lr"].number_value = lr
    values = [record(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))]
    if accuracy is not None:
        values.append(Summary.Value(tag="accuracy", simple_value=accuracy))
    write(f"{root}/{number}", *values)

server = program.TensorBoard()
server.configure(argv=[None, "--logdir", root, "--port", "0", "--load_fast=false"])
address = server.launch() + "data/plugin/hparams/session_groups"
question = {
    "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_RUNNING", "STATUS_SUCCESS", "STATUS_FAILURE"],
    "colParams": [{"hparam": "lr"}, {"metric": {"tag": "accuracy"}}],
    "startIndex": 0,
    "sliceSize": 20,
    "aggregationType": "AGGREGATION_AVG",
}
for _ in range(60):
    time.sleep(1)
    asked = urllib.request.Request(address, json.dumps(question).encode(), {"Content-Type": "application/json"})
    groups = json.load(urllib.request.urlopen(asked))["sessionGroups"]
    if sum(len(group["sessions"]) for group in groups) == len(SESSIONS):
        break
for group in sorted(groups, key=lambda group: group["name"]):
    (value,) = (found["value"] for found in group["metricValues"])
    value = value if isinstance(value, str) else round(value, 3)
    lr = "one of 3 and 4" if group["hparams"]["lr"] in (3, 4) else group["hparams"]["lr"]
    print(f"{group['name']}: {len(group['sessions'])} sessions, lr {lr}, mean accuracy {value}")
PYTHON
cat >"$folder/expected" <<'TEXT'
absent: 3 sessions, lr 1.0, mean accuracy 0.6
mixed: 2 sessions, lr one of 3 and 4, mean accuracy 0.15
nan: 2 sessions, lr 1.0, mean accuracy NaN
TEXT
"$folder/venv/bin/python" "$folder/look.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
