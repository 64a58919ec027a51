"""Measurements of speed and memory, as ratios taken in one run: `python -m benchmarks.NAME --help`.

`train`, `decode`, `attention`, `memory`, `sweep` and `startup` print a table, or JSON lines with `--json`. The
peers they compare with are installed by `python -m benchmarks.peers`. `strategy_costs` writes docs/strategies.md.
"""
