# Everything happens in .venv, made on first use. `make run` and `make test` need Python 3.11, make and a package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# For the CPU build of torch on Linux: make run TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

# A process for each core, one thread each: the models of the tests are too small to share. Each takes a run of files,
# so what a file builds for its tests is built once. Compiled modules are kept wherever the caller has forbidden it:
# otherwise every worker, and every process that a test starts, compiles the tests and the package again.
PYTEST = PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist worksteal

.PHONY: run test browser nightly mutants check format wheel clean

run: $(VENV)/.run-installed  ## train the quickstart and print its comparison
	$(BIN)/maskbench run experiments/quickstart.yaml

test: $(VENV)/.test-installed  ## the whole suite, without the slow tier
	$(PYTEST) -m "not slow"

browser: $(VENV)/.test-installed  ## only the tests that look at pages in a headless Chromium; fails where there is none
	REQUIRE_BROWSER=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "browser and not slow" tests/browser

nightly: $(VENV)/.test-installed  ## the slow tier as well, shapes checked in every test, more examples of each property
	CHECK_SHAPES=everywhere HYPOTHESIS_MAX_EXAMPLES=100 $(PYTEST)

mutants: $(VENV)/.test-installed  ## make small mistakes in the masks, one at a time, and see that a test notices each
	$(BIN)/python tests/mutants.py

check: $(VENV)/.dev-installed  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(VENV)/.run-installed
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "maskbench needs Python 3.11 or newer; name one with: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

# A stamp is newer than what it was made from, so nothing is installed twice.
$(VENV)/.run-installed: setup.cfg pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing maskbench and torch into $(VENV); the first time takes minutes"
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.test-installed: $(VENV)/.run-installed
	$(PIP_INSTALL) --editable '.[test]'
	@touch $@

$(VENV)/.dev-installed: $(VENV)/.test-installed
	$(PIP_INSTALL) --editable '.[test,dev]'
	@touch $@
