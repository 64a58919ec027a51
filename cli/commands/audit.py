"""`maskbench audit`: proofs that arms and strategies hide what they say, and let nothing through."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import RUNS, Plugins, RunsDir

if TYPE_CHECKING:
    from maskbench.audit.report import Finding
    from maskbench.audit.subject import Subject

_ENDINGS = (".yaml", ".yml")
MODEL = "Any model"
"""Heading of the options of --model in the help."""


def audit(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE or STRATEGY]...",
            help="Experiment files, whose arms are audited, and names of strategies or presets.",
            show_default=False,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Audit the whole catalogue.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every proof as JSON, and nothing else.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET",
            help="Audit any model: package.module:function or file.py:function (returns a torch module or a "
            "maskbench.testing.ModelSubject), hf:ClassName (Hugging Face transformers, built small with random weights), the "
            "folder of a saved Hugging Face model, or the folder of a finished run (ARM/seed-N).",
            rich_help_panel=MODEL,
        ),
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="A setting of the configuration of hf:ClassName; or of how another model is audited, such as causal=false, "
            "max_length=32, vocab_size=65.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    proofs: Annotated[
        list[str] | None,
        typer.Option("--proof", metavar="NAME", help="Only this proof of a model.", rich_help_panel=MODEL),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the proofs as JUnit XML.", rich_help_panel=MODEL),
    ] = None,
    sarif: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the broken promises as SARIF.", rich_help_panel=MODEL),
    ] = None,
    reproduction: Annotated[
        Path | None,
        typer.Option(
            "--write-reproduction",
            metavar="FILE",
            help="Write a script that shows the first broken promise without maskbench.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    plugins: Plugins = None,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Prove that masks leak nothing and keep their other promises; exit with 3 if one is broken.

    Every arm is tried as a whole model, in float64 and in the number format it trains in. With --model, any model is.
    """
    from maskbench.errors import ConfigError

    only_models = {"--config": config, "--proof": proofs, "--junit": junit, "--sarif": sarif}
    only_models |= {"--write-reproduction": reproduction}
    if model is not None:
        if targets or everything:
            raise ConfigError(
                "--model audits one model; leave out the experiment files, strategies and --all"
            )
        from .audit_model import audit_one_model

        files = {"junit": junit, "sarif": sarif, "reproduction": reproduction}
        audit_one_model(model, config or [], proofs or None, files, plugins or [], as_json=as_json)
        return
    if unused := [name for name, value in only_models.items() if value]:
        raise ConfigError(f"{unused[0]} belongs to --model")
    from maskbench.plugins import load_plugins

    load_plugins(plugins or [])
    if bool(targets) == everything:
        raise ConfigError(
            "name an experiment file, strategies or presets to audit, or give --all for the whole catalogue, or --model for "
            "any model"
        )
    if everything:
        found = _whole_catalogue(plugins or [])
    else:
        # Build all subjects before the first proof, so that a mistake in the last one is reported at once.
        found = _findings(list(_subjects(targets or [], plugins or [], runs_dir)))
    if as_json:
        typer.echo(json.dumps([finding.document() for one in found for finding in one], indent=1))
    else:
        from ..views.audit_table import print_findings

        print_findings(found)
    if any(finding.passed is False for one in found for finding in one):
        raise typer.Exit(3)


def _subjects(targets: Sequence[str], plugins: Sequence[Path], runs_dir: Path) -> Iterator[Subject]:
    """Yield the subjects of the audit in the order of `targets`; unknown names are refused first."""
    from maskbench.audit.arms import make_experiment_subjects
    from maskbench.audit.catalogue import make_catalogue_subjects
    from maskbench.errors import ConfigError
    from maskbench.experiment.plan import CACHE

    from ..loading import hint_at_plugins, load, locate_problems

    if code := next((target for target in targets if target.endswith(".py")), None):
        raise ConfigError(
            f"{code} is Python, not an experiment; a model in it is audited by --model {code}:FUNCTION"
        )
    files = [target for target in targets if target.endswith(_ENDINGS) or Path(target).is_file()]
    with hint_at_plugins(runs_dir):
        yield from make_catalogue_subjects([target for target in targets if target not in files])
    for file in map(Path, files):
        experiment = load(file, [], plugins=plugins, runs_dir=runs_dir)
        with locate_problems(file, []):
            yield from make_experiment_subjects(experiment, runs_dir / CACHE)


def _whole_catalogue(plugins: Sequence[Path]) -> list[list[Finding]]:
    """Return the findings of every strategy and preset; a terminal shows the progress."""
    from maskbench.audit.catalogue import list_names
    from maskbench.audit.report import audit_names
    from maskbench.text import sanitize

    from ..terminal import console_on

    found = []
    with console_on(sys.stderr).status("auditing the catalogue") as status:
        for one in audit_names(list_names(), plugins):
            status.update(sanitize(f"audited {one[0].name}" if one else ""))
            found.append(one)
    return found


def _findings(subjects: Iterable[Subject]) -> list[list[Finding]]:
    """Return the findings of every subject; a terminal shows which one is being audited."""
    import torch

    from maskbench.audit import audit as examine
    from maskbench.text import sanitize

    from ..terminal import console_on

    # Small models: a second thread would cost more than it does.
    torch.set_num_threads(1)
    found = []
    with console_on(sys.stderr).status("auditing") as status:
        for subject in subjects:
            status.update(sanitize(f"auditing {subject.name} {subject.site}"))
            found += list(examine([subject]))
    return found
