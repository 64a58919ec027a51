"""What all tests share; its place also puts this folder on the import path."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from pathlib import Path

import jaxtyping
import pytest
from built_once import install
from hypothesis import HealthCheck, is_hypothesis_test, settings
from shared_corpora import SharedCorpora

# Read when torch is imported: small tensors gain nothing from threads, and tests run beside other processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is no failure, so no example has a time limit; CI looks at the same examples every time.
settings.register_profile(
    "maskbench",
    # Every run draws others; `make nightly` asks for more.
    max_examples=int(os.environ.get("HYPOTHESIS_MAX_EXAMPLES", "40")),
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("maskbench")

install()

SHAPES_CHECKED = ("masks", "model")
"""The folders whose tests check every call of `maskbench.masks` and `maskbench.model` against its annotated shapes.

They call every function that has shapes, with every strategy at every site. In the other folders whole models train,
where the same checks take up to half of the time, and a property calls the same functions for each of its examples:
`CHECK_SHAPES=everywhere`, which `make nightly` sets, has them there. The marker `shapes` says otherwise for a file or
a test.
"""

NO_SHAPES = "JAXTYPING_DISABLE" in os.environ
"""Whether the caller wants none checked, as `tests/mutants.py` does. Asked before any test can change the environment."""

BUILDS_CORPORA = ("data",)
"""The folders whose tests build every corpus themselves; the others share what one of them has built."""

HERE = Path(__file__).parent
CORPORA = pytest.StashKey[SharedCorpora]()

# Workers inherit the environment of the process that starts them, and with it the folder.
MADE_HERE = "" if "MASKBENCH_TEST_CORPORA" in os.environ else tempfile.mkdtemp(prefix="maskbench-corpora-")
os.environ.setdefault("MASKBENCH_TEST_CORPORA", MADE_HERE)


def pytest_configure(config: pytest.Config) -> None:
    # Nothing that collecting 9,000 tests makes is garbage; looking for some takes a fifth of its time.
    gc.disable()
    config.stash[CORPORA] = SharedCorpora(Path(os.environ["MASKBENCH_TEST_CORPORA"]))


def pytest_collection_finish() -> None:
    # What is there now stays until the end, so no later search has to go through it again.
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    if MADE_HERE:
        shutil.rmtree(MADE_HERE, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Decide for a test, before its fixtures are made, whether shapes are checked and corpora shared."""
    folder = item.path.relative_to(HERE).parts[0]
    marker = item.get_closest_marker("shapes")
    of_folder = folder in SHAPES_CHECKED and not is_hypothesis_test(getattr(item, "obj", None))
    checked = of_folder if marker is None else marker.kwargs["checked"]
    checked |= os.environ.get("CHECK_SHAPES") == "everywhere"
    if not NO_SHAPES:
        jaxtyping.config.update("jaxtyping_disable", not checked)
    item.config.stash[CORPORA].enabled = folder not in BUILDS_CORPORA
