#!/bin/sh
# polars 2.1.0: of a key that stands twice in a JSON line the first value is kept; Python and pandas keep the last.
#
# Guess, before the run: every reader of JSON lines keeps the last value, as Python's json does.
# Seen: polars keeps the first, in all three ways of reading; Python's json and pandas keep the last; pyarrow refuses.
# Hurt: a corpus in JSON lines, merged from two sources with one key in common, is another corpus for each reader.
# Instead: refuse doubled keys, for example with `object_pairs_hook`.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0 pandas==3.1.1 pyarrow==26.0.1
cat >"$folder/look.py" <<'PYTHON'
import io
import json
import tempfile
from pathlib import Path

import pandas
import polars
import pyarrow
import pyarrow.json

LINE = '{"src": "first", "tgt": "x", "src": "second"}'
path = Path(tempfile.mkdtemp()) / "pairs.jsonl"
path.write_text(LINE + "\n", encoding="utf-8")
print("json:", json.loads(LINE)["src"])
print("pandas:", pandas.read_json(path, lines=True).src[0])
print("polars.read_ndjson:", polars.read_ndjson(path)["src"][0])
print("polars.scan_ndjson:", polars.scan_ndjson(path).collect()["src"][0])
print("polars.read_json:", polars.read_json(io.StringIO(f"[{LINE}]"))["src"][0])
try:
    print("pyarrow:", pyarrow.json.read_json(path)["src"][0])
except pyarrow.ArrowInvalid:
    print("pyarrow: refused")
PYTHON
cat >"$folder/expected" <<'TEXT'
json: second
pandas: second
polars.read_ndjson: first
polars.scan_ndjson: first
polars.read_json: first
pyarrow: refused
TEXT
"$folder/venv/bin/python" "$folder/look.py" | tee "$folder/seen"
diff "$folder/expected" "$folder/seen"
echo "still so"
