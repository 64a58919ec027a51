"""Measure how long `maskbench audit --model` takes, and how much memory: the whole command, all proofs, on one core.

  t5, bart, gpt2   2+2 layers (GPT-2: 2), as `hf:ClassName` builds them
  t5-60m           a T5 of 60 million parameters (6+6 layers, width 512, 32,128 words)

Needs Hugging Face transformers. Over one second, and over 1 GB.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.children import Usage, measure_command
from benchmarks.harness import Results, Spread, parser, python_of, repeats_of, run

SIXTY_MILLION = {
    "d_model": 512,
    "num_layers": 6,
    "num_decoder_layers": 6,
    "num_heads": 8,
    "d_kv": 64,
    "d_ff": 2048,
    "vocab_size": 32128,
}
CASES = {
    "t5": ("T5ForConditionalGeneration", {}),
    "bart": ("BartForConditionalGeneration", {}),
    "gpt2": ("GPT2LMHeadModel", {}),
    "t5-60m": ("T5ForConditionalGeneration", SIXTY_MILLION),
}


def measure(options: argparse.Namespace, results: Results) -> None:
    """Measure what the options ask for."""
    for case in options.cases:
        results.progress(case)
        found = [audit(case) for _ in range(repeats_of(options))]
        wall = Spread.of([usage.wall for usage in found])
        results.add(case, "time", "1 second", wall, seen=f"{wall.median:.1f} s")
        peak = Spread.of([usage.peak / 1e9 for usage in found])
        results.add(case, "peak memory", "1 GB", peak, seen=f"{peak.median:.2f} GB")


def audit(case: str) -> Usage:
    """Return what the audit of a case takes.

    Raises:
        BenchmarkError: it failed, or found a broken promise.
    """
    name, settings = CASES[case]
    command = [python_of(None), "-m", "maskbench.cli", "audit", "--model", f"hf:{name}"]
    for key, value in settings.items():
        command += ["--config", f"{key}={value}"]
    return measure_command(command, cwd=Path.cwd(), threads=1)


def main() -> None:
    """Read the options and measure."""
    found = parser(__doc__ or "", "about 3 minutes")
    found.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    run("model_audit", measure, found.parse_args())


if __name__ == "__main__":
    main()
