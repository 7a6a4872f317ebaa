# What can be done here. `make` alone lists it.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup run test lab dashboards bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.installed: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: no '$(PYTHON)' found; say make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(shell sed -n 's/^# uv //p' requirements.lock)
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

setup: $(VENV)/.installed ## install everything into .venv

run: setup ## run all stages on what params.yaml names, and end with the result and the report's path
	@quiebra run

test: setup ## run every test
	@python -m pytest -n 2 --dist worksteal

lab: setup ## open JupyterLab
	@PYTHONPATH=$(CURDIR)/src jupyter lab

dashboards: setup ## serve the dashboards in a browser
	@quiebra dashboards

bench: setup ## print side-by-side timings and quality comparisons
	@python benchmarks/run.py
	@python benchmarks/dashboards.py
	@python benchmarks/operations.py

clean: ## remove what the stages made and the installation; your files in data/raw and the register of models stay
	find models -mindepth 1 -maxdepth 1 ! -name registry ! -name register.json ! -name champion.json -exec rm -rf {} + 2>/dev/null || true
	rm -rf $(VENV) reports/build dvc.lock .dvc/cache .dvc/tmp
	find data -mindepth 1 -maxdepth 1 ! -name raw -exec rm -rf {} +
