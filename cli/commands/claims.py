"""`maskbench claims`: what the runs say of claims that were written down before them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..options import RUNS, RunsDir

FILE = Path("experiments/claims.yaml")
"""Where the articles' claims stand in a checkout."""


def claims(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The file of claims.")] = FILE,
    runs_dir: RunsDir = RUNS,
    as_json: Annotated[bool, typer.Option("--json", help="Print claims and evidence as JSON.")] = False,
) -> None:
    """Say which claims the finished runs support, which they refute, and which are open."""
    from maskbench.comparison.claims import judge_claims
    from maskbench.config.schema.claims import load_claims
    from maskbench.errors import ConfigError

    if file == FILE and not file.exists():
        raise ConfigError(
            f"no file of claims: {FILE} is not in this folder; go to a checkout of maskbench, or name a file"
        )
    judged = judge_claims(load_claims(file), runs_dir, file.parent)
    if as_json:
        typer.echo(json.dumps([one.document() for one in judged], indent=1))
        return

    from ..views.claims_table import print_claims

    print_claims(judged, sys.stdout)
