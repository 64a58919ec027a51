"""Findings for other programs: JSON, JUnit XML (test reports of CI systems) and SARIF 2.1.0 (code scanning)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from maskbench.model_audit.audit import ModelFinding

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_document(target: str, findings: Sequence[ModelFinding]) -> list[dict[str, Any]]:
    """Return the findings as JSON values, one dict per proof, with the keys of `maskbench audit --json` and further ones."""
    return [
        {
            "model": target,
            "proof": finding.proof,
            "family": finding.family,
            "dtype": finding.dtype,
            "passed": finding.passed,
            "verdict": finding.verdict,
            # JSON has no infinity.
            "value": None if finding.answer.value is None else min(finding.answer.value, sys.float_info.max),
            "limit": finding.answer.limit,
            "detail": finding.answer.detail,
            "module": finding.module,
            "not_made": list(finding.not_made),
        }
        for finding in findings
    ]


def as_junit(target: str, findings: Sequence[ModelFinding]) -> str:
    """Return the findings as a JUnit test suite: one test per proof; a proof without a check is skipped."""
    suite = ElementTree.Element(
        "testsuite",
        name=f"maskbench audit {target}",
        tests=str(len(findings)),
        failures=str(sum(finding.passed is False for finding in findings)),
        skipped=str(sum(finding.passed is None for finding in findings)),
    )
    for finding in findings:
        test = ElementTree.SubElement(
            suite, "testcase", classname=f"maskbench.{finding.family}", name=finding.proof
        )
        if finding.passed is False:
            failure = ElementTree.SubElement(test, "failure", message=finding.sentence)
            failure.text = f"{finding.question} No.\n{finding.sentence}\nin {finding.dtype}"
        elif finding.passed is None:
            ElementTree.SubElement(test, "skipped", message=finding.answer.detail)
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def as_sarif(target: str, version: str, findings: Sequence[ModelFinding]) -> dict[str, Any]:
    """Return the broken promises as a SARIF log; the place of a result is the model that was named."""
    # Code scanning takes no colon in a path.
    place = target.rpartition(":")[0] if ".py:" in target else target.replace(":", "/")
    rules = [
        {
            "id": finding.proof.replace(" ", "-"),
            "name": finding.proof,
            "shortDescription": {"text": finding.question},
        }
        for finding in findings
    ]
    results = [
        {
            "ruleId": finding.proof.replace(" ", "-"),
            "level": "error",
            "message": {"text": finding.sentence},
            "locations": [
                {
                    "physicalLocation": {"artifactLocation": {"uri": place.replace("\\", "/")}},
                    "logicalLocations": [{"fullyQualifiedName": finding.module or target, "kind": "module"}],
                }
            ],
        }
        for finding in findings
        if finding.passed is False
    ]
    driver = {"name": "maskbench", "version": version, "rules": rules}
    return {
        "version": "2.1.0",
        "$schema": SARIF_SCHEMA,
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
