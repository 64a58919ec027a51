"""`maskbench audit --model`: proofs that any sequence model keeps the promises of its masks."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..output_files import refuse_output, save_output

if TYPE_CHECKING:
    from maskbench.model_audit import ModelFinding, ModelSubject


def audit_one_model(
    target: str,
    config: Sequence[str],
    proofs: Sequence[str] | None,
    files: Mapping[str, Path | None],
    plugins: Sequence[Path],
    *,
    as_json: bool,
) -> None:
    """Audit the model that a user names, print and write the findings, exit with 3 if a promise is broken.

    Args:
        config: settings as KEY=VALUE.
        files: by format (junit, sarif, reproduction), where to write it; None: nowhere.
        plugins: files that register what a run of maskbench takes from them.
    """
    from maskbench import __version__
    from maskbench.model_audit.formats import as_document, as_junit, as_sarif

    for file in filter(None, files.values()):
        refuse_output(file)
    subject = _subject(target, _settings(config), plugins)
    findings = _findings(subject, proofs)
    if as_json:
        typer.echo(json.dumps(as_document(target, findings), indent=1))
    else:
        from ..views.model_audit_table import print_model_findings

        print_model_findings(subject.name, subject.call_note, findings)
    if (junit := files.get("junit")) is not None:
        save_output(as_junit(target, findings).encode(), junit)
    if (sarif := files.get("sarif")) is not None:
        save_output(json.dumps(as_sarif(target, __version__, findings), indent=1).encode(), sarif)
    if (reproduction := files.get("reproduction")) is not None:
        _reproduce(subject, findings, reproduction)
    if any(finding.passed is False for finding in findings):
        raise typer.Exit(3)


def _subject(target: str, settings: Mapping[str, str], plugins: Sequence[Path]) -> ModelSubject:
    """Return the subject that a user names; the folder of a run of maskbench is one."""
    from maskbench.model_audit.target import load_target

    if not settings and (Path(target) / "run.json").is_file():
        from maskbench.plugins import load_plugins
        from maskbench.verification.audited_run import load_audited_run

        load_plugins(plugins)
        return load_audited_run(Path(target))
    return load_target(target, settings)


def _settings(config: Sequence[str]) -> dict[str, str]:
    """Return settings by name.

    Raises:
        ConfigError: one is not KEY=VALUE.
    """
    from maskbench.errors import ConfigError

    found = {}
    for text in config:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"--config {text}: write KEY=VALUE")
        found[name] = value
    return found


def _findings(subject: ModelSubject, proofs: Sequence[str] | None) -> list[ModelFinding]:
    """Return one finding per proof; a terminal shows which one is running."""
    import torch

    from maskbench.errors import ConfigError
    from maskbench.model_audit import audit_subject

    from ..terminal import console_on

    # Small models: a second thread would cost more than it does.
    torch.set_num_threads(1)
    with console_on(sys.stderr).status("auditing") as status:
        try:
            return list(audit_subject(subject, proofs, lambda name: status.update(f"auditing: {name}")))
        except ValueError as error:
            raise ConfigError(str(error)) from error


def _reproduce(subject: ModelSubject, findings: Sequence[ModelFinding], file: Path) -> None:
    """Write the script of the first broken promise that can be shown without maskbench; say so where there is none."""
    from maskbench.model_audit.reproduction import write_reproduction

    for finding in findings:
        if finding.passed is False and finding.answer.change is not None:
            script = write_reproduction(
                subject, finding.answer.change, finding.answer.limit or 0.0, finding.sentence, finding.dtype
            )
            if script is not None:
                save_output(script.encode(), file)
                return
    typer.echo(
        "no reproduction was written: no broken promise is shown by two inputs of a model built without maskbench",
        err=True,
    )
