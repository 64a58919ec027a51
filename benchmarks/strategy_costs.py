"""Measure what a training step costs with each strategy and preset, at each of its sites, relative to no mask.

    python -m benchmarks.strategy_costs --page docs/strategies.md
    python -m benchmarks.strategy_costs --only window topk

Steps of the arm and of the arm without masks are taken in turn in one process and divided pair by pair, so what else
the machine does affects both alike. docs/strategies.md is this program's output.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

import maskbench.masks  # noqa: F401  registers the strategies
from benchmarks.harness import processor_name
from maskbench.config.schema.experiment import (
    CorpusConfig,
    ModelConfig,
    PlacementConfig,
    RunConfig,
    TrainConfig,
)
from maskbench.data import load_corpus
from maskbench.experiment.cost_probe import DROPPED_STEPS
from maskbench.masks.catalogue import StrategyEntry, example_arm, list_entries
from maskbench.training.trainer import make_trainer

CORPUS = CorpusConfig(name="toydeen", options={"pairs": 2000})
OPTIONS = {"document": {"separator": ","}}
"""Where the example names a word the corpus does not have."""
MODEL = ModelConfig(d_model=128, n_heads=4, encoder_layers=2, decoder_layers=2, d_ff=512)


def run_config(masks: Sequence[PlacementConfig], steps: int) -> RunConfig:
    """Return the settings of an arm."""
    train = TrainConfig(steps=steps, batch_tokens=1024, threads=1)
    return RunConfig(corpus=CORPUS, model=MODEL, train=train, masks=tuple(masks))


def relative_cost(masks: Sequence[PlacementConfig], steps: int, cache: Path) -> float:
    """Return the median over steps of the arm's time divided by the time of the same step without masks."""
    corpus = load_corpus(CORPUS, cache)
    trainers = [make_trainer(run_config(m, steps), corpus, seed=0) for m in ([], masks)]
    ratios = []
    for i in range(steps + DROPPED_STEPS):
        taken = [0.0, 0.0]
        # Whoever goes first finds other caches than whoever goes second: they take turns at that as well.
        for j in (0, 1) if i % 2 else (1, 0):
            began = time.perf_counter()
            trainers[j].step(i)
            taken[j] = time.perf_counter() - began
        ratios.append(taken[1] / taken[0])
    return median(ratios[DROPPED_STEPS:])


HEAD = """# The strategies and presets

Written by `python -m benchmarks.strategy_costs --page docs/strategies.md` from what each declares (`maskbench masks
NAME` says it in full) and from a measurement. **cost** is the time of a training step relative to the same step without
any mask, at each site: {machine}; width 128, 4 heads, 2+2 layers, batches of 1024 tokens of the toy corpus,
median over {steps} pairs of steps. Absolute times depend on the machine; the ratios less so.
"""


def table(found: list[StrategyEntry], costs: dict[tuple[str, str], float]) -> str:
    """Return the rows of one kind as Markdown."""
    lines = ["| name | sites: cost | what it does | source |", "|---|---|---|---|"]
    for entry in found:
        sites = ", ".join(f"`{site}` {costs[entry.name, site]:.2f}" for site in entry.sites)
        what = entry.description.replace("|", "\\|").replace("\n", " ")
        marks = [word for word, holds in (("learned", entry.learned), ("random", entry.stochastic)) if holds]
        marks += ["oracle"] if entry.oracle else []
        name = f"`{entry.name}`" + (f" ({', '.join(marks)})" if marks else "")
        preset = f"`{entry.preset_of}` with settings: " if entry.preset_of else ""
        lines.append(f"| {name} | {sites} | {preset}{what} | {entry.source} |")
    return "\n".join(lines)


def page(costs: dict[tuple[str, str], float], steps: int) -> str:
    """Return docs/strategies.md."""
    known = {name for name, _ in costs}
    found = [entry for entry in list_entries() if entry.name in known]
    parts = [HEAD.format(machine=f"{processor_name()}, one thread, torch {torch.__version__}", steps=steps)]
    kinds = dict.fromkeys(entry.kind for entry in found if not entry.preset_of)
    for kind in kinds:
        own = [entry for entry in found if entry.kind == kind and not entry.preset_of]
        parts.append(f"## {kind}\n\n{table(own, costs)}\n")
    presets = [entry for entry in found if entry.preset_of]
    if presets:
        parts.append(f"## presets\n\n{table(presets, costs)}\n")
    return "\n".join(parts)


def main() -> None:
    """Measure, and print or write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Takes about half an hour for the whole catalogue.",
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", nargs="*", help="names of strategies or presets")
    parser.add_argument("--page", type=Path, help="the file to write; without it the page is printed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    costs: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as cache:
        for entry in list_entries():
            if options.only and entry.name not in options.only:
                continue
            for site in entry.sites:
                masks = example_arm(entry.name, site, **OPTIONS.get(entry.name, {}))
                cost = relative_cost(masks, options.steps, Path(cache))
                costs[entry.name, site] = cost
                print(f"{entry.name} at {site}: {cost:.2f}", file=sys.stderr, flush=True)
    text = page(costs, options.steps)
    if options.page:
        options.page.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
