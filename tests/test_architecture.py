"""Imports point down the layers, and what must start fast does not load torch."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = [
    {"errors"},
    {"registry", "randomness", "text", "files"},
    {"executors"},
    {"statistics", "model_audit"},
    {"config"},
    {"data"},
    {"masks"},
    {"model"},
    {"decoding", "metrics", "pictures"},
    {"plugins"},
    {"runs"},
    {"records"},
    {"comparison"},
    {"report", "tensorboard"},
    {"training", "audit", "testing", "pytest_plugin"},
    {"experiment", "explain", "verification", "forecast"},
    {"cli"},
]
"""Lowest first; a module may import its own layer and those below."""
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
LONGEST_FOLDER = 20
"""Modules in one folder; more are looked through, not read."""
READERS = ("records", "comparison")
"""They judge what runs left behind, so they know nothing of how runs are made."""
READERS_MAY_IMPORT = (
    *READERS,
    "statistics",
    "runs.directory",
    "runs.identity",
    "runs.jsonl",
    "runs.json_files",
    "files",
    "config",
    "errors",
    "registry",
    "randomness",
    "text",
)
TORCH_FREE = [
    "maskbench.errors",
    "maskbench.registry",
    "maskbench.randomness",
    "maskbench.config.load",
    "maskbench.runs.directory",
    "maskbench.comparison.text.json_document",
    "maskbench.explain.explanation",
    "maskbench.report",
    "maskbench.tensorboard",
    "maskbench.tensorboard.refresh",
    "maskbench.cli.main",
    "maskbench.cli.commands.compare",
    "maskbench.cli.views.attention_drawing",
    "maskbench.cli.commands.claims",
    "maskbench.cli.views.claims_table",
    "maskbench.cli.commands.status",
    "maskbench.cli.views.status_table",
    "maskbench.cli.commands.explain",
    "maskbench.cli.views.explain_text",
    "maskbench.cli.commands.masks",
    "maskbench.cli.views.mask_table",
    "maskbench.cli.views.mask_drawing",
]


def modules() -> list[tuple[str, Path]]:
    library = [(p.relative_to(ROOT / "maskbench"), p) for p in (ROOT / "maskbench").rglob("*.py")]
    command_line = [(p.relative_to(ROOT), p) for p in (ROOT / "cli").rglob("*.py")]
    named = [(".".join(r.with_suffix("").parts), p) for r, p in library + command_line]
    return [(name.removesuffix(".__init__"), p) for name, p in named if name != "__init__"]


def imports(path: Path) -> set[str]:
    """The maskbench modules a file imports, without the leading `maskbench.`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
    return {name.removeprefix("maskbench.") for name in found if name.startswith("maskbench.")}


def absolute_imports(path: Path) -> set[str]:
    """Every module a file imports, by its full name."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def test_there_are_modules_to_look_at():
    assert len(modules()) > 50


def test_imports_point_down_the_layers():
    wrong = []
    for name, path in modules():
        own = name.split(".")[0]
        for imported in imports(path):
            other = imported.split(".")[0]
            upward = other in HEIGHT and HEIGHT[other] > HEIGHT[own]
            if upward or (own in READERS and not imported.startswith(READERS_MAY_IMPORT)):
                wrong.append(f"{name} imports maskbench.{imported}")
    assert wrong == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "maskbench" / "executors").rglob("*.py")), ids=lambda p: p.stem
)
def test_executors_know_nothing_of_training(path):
    for imported in imports(path):
        allowed = ("executors", "errors", "registry", "text")
        assert imported.split(".")[0] in allowed, f"{path.name} imports maskbench.{imported}"
    third_party = {name.split(".")[0] for name in absolute_imports(path)} - set(sys.stdlib_module_names)
    assert third_party <= {"maskbench", "psutil"}


def test_every_package_has_a_layer():
    packages = {name.split(".")[0] for name, _ in modules()}
    assert packages == set(HEIGHT)


def imported_at_once(name: str, path: Path, known: set[str]) -> set[str]:
    """The modules that are imported while a module is imported, so not those inside functions or for types alone."""
    package = f"maskbench.{name}".split(".")
    package = package if path.name == "__init__.py" else package[:-1]
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{source}.{a.name}" if f"{source}.{a.name}" in known else source for a in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
    return (found & known) - {f"maskbench.{name}"}


def test_no_module_imports_itself_through_others():
    known = {f"maskbench.{name}" for name, _ in modules()}
    graph = {f"maskbench.{name}": imported_at_once(name, path, known) for name, path in modules()}
    assert sum(map(len, graph.values())) > len(graph)
    order = list(graphlib.TopologicalSorter(graph).static_order())  # CycleError names the circle
    assert set(order) == known


def test_no_two_classes_share_a_name():
    names = Counter(
        node.name
        for _, path in modules()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    )
    assert len(names) > 300
    assert not [name for name, times in names.items() if times > 1]


def test_no_folder_is_too_long_to_read():
    sizes = Counter(path.parent.relative_to(ROOT) for _, path in modules() if path.name != "__init__.py")
    assert not {str(folder): n for folder, n in sizes.items() if n > LONGEST_FOLDER}


@pytest.mark.parametrize("name", TORCH_FREE)
def test_what_must_start_fast_does_not_import_torch(name):
    code = f"import sys, {name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_draws_from_global_generators():
    forbidden = (
        "np.random.",
        "numpy.random",
        "import random",
        "from random",
        "torch.rand(",
        "torch.randn(",
        "torch.randint(",
    )
    for name, path in modules():
        # The audits read and set the states of global generators, to see whether a mask or a model draws from them.
        if name not in ("audit.generators", "model_audit.generators"):
            text = path.read_text(encoding="utf-8")
            assert not [word for word in forbidden if word in text], name


def test_nothing_is_unpickled():
    forbidden = ("import pickle", "torch.load(", "allow_pickle=True", "yaml.load(", "yaml.unsafe_load")
    for name, path in modules():
        text = path.read_text(encoding="utf-8")
        assert not [word for word in forbidden if word in text], name
