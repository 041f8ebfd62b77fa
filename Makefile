# Everything works in .venv at the root; versions are pinned in constraints.txt alone.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Half the time of installing would go into compiling what nothing imports.
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt
DECLARED := setup.cfg pyproject.toml constraints.txt

# Python compiles what is imported, when it first is, and keeps it: images of containers often forbid the latter,
# and every process of a test would compile MLflow and PyTorch anew.
unexport PYTHONDONTWRITEBYTECODE
# Spinning OpenMP threads cost several times more than they win on a machine that does anything else.
export OMP_WAIT_POLICY := PASSIVE
export MLFLOW_DISABLE_TELEMETRY := true

.DEFAULT_GOAL := help
.PHONY: help run test bench fuzz compile check wheel clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: .venv/.local ## set up everything, start the embedded stack, train and deploy on real data
	$(BIN)/argosy run pipeline-image-classification $(ARGS)

# Each worker has a stack of its own. On two cores the third works while others wait for a server.
WORKERS ?= 3

test: .venv/.test ## set up everything, run every test
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --no-loadscope-reorder $(ARGS)

bench: .venv/.test ## the benchmarks, into build/bench.json; ONLY=NAME runs one
	$(BIN)/python -m benchmarks $(ONLY)

fuzz: .venv/.test ## fuzz the linter, guided by coverage, for a minute
	$(PIP_INSTALL) atheris
	$(BIN)/python -m tests.lint.coverage_fuzz -max_total_time=60 -max_len=4000 -timeout=10 -artifact_prefix=build/

compile: .venv/.local ## compile the pipelines into pipelines/compiled/
	$(BIN)/argosy compile -o pipelines/compiled

check: .venv/.test ## lint, types, and compiled YAML against the pipelines
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	cd src && ../$(BIN)/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache -p argosy
	$(BIN)/argosy compile --check
	$(BIN)/argosy lint pipelines/compiled examples/compiled --ignore ARG510,ARG512

wheel: .venv/.test ## build the wheel into dist/
	rm -rf build/lib # setuptools would take modules along that were there at an earlier build
	$(BIN)/python -m build --wheel --no-isolation

clean: ## stop the embedded stack, then remove what make made
	-test ! -x $(BIN)/argosy || $(BIN)/argosy down
	rm -rf .venv .argosy build dist src/*.egg-info

.venv/.base: $(DECLARED)
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 is not installed" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "make: $(PYTHON) cannot make environments; install python3.11-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP_INSTALL) setuptools
	@touch $@

.venv/.local: .venv/.base
	$(PIP_INSTALL) -e '.[local]'
	@touch $@

.venv/.test: .venv/.base
	$(PIP_INSTALL) -e '.[test]'
	@touch $@ .venv/.local
