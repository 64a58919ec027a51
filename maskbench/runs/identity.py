"""The identity of a run: the settings and data that can change its results, their hash, and its provenance.

Two runs are the same exactly if their identities are equal: configuration, corpus bytes, initial weights, the code
of the plug-ins that it uses, and `RESULTS_VERSION`. The seed is in the folder's name. Versions, commit and machine are recorded beside the
identity but not hashed: a new commit does not invalidate results, but a reader sees if a table mixes commits.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from maskbench.config.schema.experiment import RunConfig
from maskbench.registry import PluginCode
from maskbench.runs.json_files import canonical_json
from maskbench.statistics.split_overlap import SplitOverlaps

RESULTS_VERSION = 1
"""Version of the results, part of every identity; increased whenever a code change changes results."""

RECORD_VERSION = 1
"""Version of the format of run.json."""

_GIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Identity:
    """All inputs that can change a run's results, except its seed."""

    config: Mapping[str, Any]
    """`RunConfig.identity()`: a plain JSON object."""
    data_sha256: str
    """SHA-256 of all corpus content that can change a result."""
    results_version: int = RESULTS_VERSION
    init_sha256: str | None = None
    """SHA-256 of the checkpoint whose weights it starts from; None: it initialises its own."""
    plugins: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the code of every plug-in's mask strategy and metric that the run uses, by what uses it, such as
    `mask strategy round_robin`; empty without plug-ins."""
    attention_paths: int | None = None
    """Version of the rules by which long sentences leave the dense attention; None where no sentence is long enough."""

    def to_json(self) -> dict[str, Any]:
        """Return the hashed keys as a JSON object, equal to the one in run.json."""
        return {
            "config": dict(self.config),
            "data_sha256": self.data_sha256,
            "results_version": self.results_version,
            **({} if self.init_sha256 is None else {"init_sha256": self.init_sha256}),
            **({"plugins": dict(self.plugins)} if self.plugins else {}),
            **({} if self.attention_paths is None else {"attention_paths": self.attention_paths}),
        }

    @property
    def hash(self) -> str:
        """The identity's hash, 12 hex digits; see `hash_identity_keys`."""
        return hash_identity_keys(self.to_json())

    def differences(self, recorded: Mapping[str, Any]) -> list[str]:
        """Return one line per key that differs from a run.json's identity: `train.lr 0.001 -> 0.0003`."""
        there, here = _flat(recorded), _flat(self.to_json())
        # Most runs are compared with the very configuration that made them: two texts instead of two hundred.
        if canonical_json(there) == canonical_json(here):
            return []
        old, new = dict(_leaves(there)), dict(_leaves(here))
        lines = []
        for key in [*old, *(k for k in new if k not in old)]:
            before, after = old.get(key, "absent"), new.get(key, "absent")
            if before != after:
                name = _NAMES.get(key, key.replace("corpus.options.", "corpus."))
                if key.startswith("plugins."):
                    name = f"{PLUGIN_CODE} of the {key.removeprefix('plugins.')} (sha256)"
                    before, after = (
                        json.strip('"')[:_SHORT_SHA256] if json != "absent" else json
                        for json in (before, after)
                    )
                lines.append(f"{name} {before} -> {after}")
        return lines


PLUGIN_CODE = "the plug-in's code"
"""Begins a difference between identities that is one of plug-in code."""
_SHORT_SHA256 = 12


def hash_identity_keys(keys: Mapping[str, Any]) -> str:
    """Return the hash of an identity's keys: the first 12 hex digits of BLAKE2b over their canonical JSON."""
    return hashlib.blake2b(canonical_json(keys).encode("ascii")).hexdigest()[:12]


def requested_identity(
    config: RunConfig,
    recorded: Mapping[str, Any],
    *,
    data_sha256: str | None = None,
    init_sha256: str | None = None,
    plugins: Mapping[str, str] | None = None,
    attention_paths: int | Literal["recorded"] | None = "recorded",
) -> Identity:
    """Return the identity of a configuration, to compare with `recorded`, the identity in a run.json.

    A hash or version that is not given is taken from `recorded`: who does not know the corpus cannot tell whether its
    sentences are long.
    """
    data = data_sha256 or str(recorded.get("data_sha256"))
    code = recorded.get("plugins", {}) if plugins is None else plugins
    weights = None
    if config.init_from is not None:
        weights = init_sha256 or str(recorded.get("init_sha256", f"those of {config.init_from}"))
    paths = recorded.get("attention_paths") if attention_paths == "recorded" else attention_paths
    return Identity(config.identity(), data, init_sha256=weights, plugins=code, attention_paths=paths)


def identity_with_plugins(record: Mapping[str, Any], used: Mapping[str, PluginCode]) -> dict[str, Any]:
    """Return the identity in a run.json, with the code of the plug-ins that the run used.

    A run.json from before plug-ins were part of the identity has the hashes of all loaded plug-ins beside it, by
    plug-in. Code that it does not mention counts as unchanged, so such runs stay valid.

    Args:
        record: the contents of run.json.
        used: what the same run would use now, as `Identity.plugins` names it.
    """
    identity = dict(record["identity"])
    if "plugins" in identity or "plugin_files" in record or not used:
        return identity
    before: Mapping[str, str] = record.get("plugins") or {}
    same = set(before.values())
    identity["plugins"] = {
        what: code.sha256 if code.sha256 in same else before.get(code.plugin, code.sha256)
        for what, code in used.items()
    }
    return identity


_NAMES = {
    "data_sha256": "the content of the corpus (sha256)",
    "init_sha256": "the weights to start from (sha256 of their checkpoint)",
    "attention_paths": "the version of the attention of long sentences (`model.attention: dense` has none)",
}
"""Names in messages for keys that do not occur in an experiment file."""


def _flat(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity with the configuration's keys at the top level, as in an experiment file."""
    rest = {key: value for key, value in identity.items() if key != "config"}
    return {**dict(identity.get("config", {})), **rest}


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted path and the JSON text of every scalar in a JSON value."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple) and value:
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{prefix}[{index}]")
    else:
        yield prefix, canonical_json(list(value) if isinstance(value, tuple) else value)


@dataclass(frozen=True, slots=True)
class SoftwareEnvironment:
    """Software and machine that made a run: recorded in run.json, not part of the hash."""

    versions: Mapping[str, str]
    """Package name -> version: maskbench, python, torch, numpy, ..."""
    environment: Mapping[str, Any]
    """Processor capability, threads, dtype, device; runs with equal values give the same bytes."""
    plugins: Mapping[str, str] = field(default_factory=dict)
    """Name -> SHA-256 of the code, for every loaded plug-in."""
    plugin_files: tuple[Mapping[str, Any], ...] = ()
    """What is known of each plug-in that the run uses: `name`, `sha256`, `file`, `package` (name and version of the
    installed package, or null), `used_for` (such as `mask strategy round_robin`) and `copies`, the paths in the run's
    directory of the copies of its files; a package of several files has none."""


def build_run_record(
    identity: Identity,
    *,
    arm: str,
    seed: int,
    provenance: SoftwareEnvironment,
    vocabulary_sha256: str | None = None,
    overlaps: SplitOverlaps | None = None,
) -> dict[str, Any]:
    """Return the contents of run.json.

    The vocabulary's hash is recorded for runs that start from this run's weights; what the splits have in common for
    readers without the corpus. Neither is hashed.
    """
    return {
        "format": RECORD_VERSION,
        "arm": arm,
        "seed": seed,
        "hash": identity.hash,
        "identity": identity.to_json(),
        "vocabulary_sha256": vocabulary_sha256,
        **({} if overlaps is None else {"data": overlaps.to_json()}),
        "versions": dict(provenance.versions),
        "plugins": dict(provenance.plugins),
        # Absent without plug-ins, so that such a run.json has the same bytes as before there was this key.
        **({"plugin_files": list(map(dict, provenance.plugin_files))} if provenance.plugins else {}),
        "git": read_git_state(),
        "environment": dict(provenance.environment),
    }


def read_git_state() -> dict[str, Any] | None:
    """Return `{"commit": ..., "dirty": ...}` of this package's git checkout, or None if there is none.

    Only a checkout whose top directory holds this package counts, not another repository inside which the
    package is installed. Never raises.
    """
    package = Path(__file__).resolve().parents[1]
    top = _git(package, "rev-parse", "--show-toplevel")
    commit = _git(package, "rev-parse", "HEAD")
    if not top or not commit or Path(top) != package.parent:
        return None
    changed = _git(package, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(changed)}


def _git(directory: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()
