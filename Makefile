# What can be done here. `make` alone lists it.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OMP_WAIT_POLICY ?= passive

.DEFAULT_GOAL := help
.PHONY: help setup run fast test test-fast coverage lab dashboards serve docs bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

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

fast: setup ## try the stages up to validation on 400 simulated companies, as an experiment of its own that publishes nothing
	@dvc exp run --temp --quiet --force --name fast -S 'ingest.sources=[demo]' -S ingest.demo.companies=400 -S validate.bootstrap=50 validate
	@COLUMNS=$${COLUMNS:-120} dvc exp show --only-changed --no-pager --hide-workspace --drop '(data|models|src|notebooks|reports)/|State|Executor|Created|cover|gates'

test: setup ## run every test and gate
	@python -m pytest -n $(WORKERS) --dist worksteal

test-fast: setup ## run the tests of the inner loop: no browser, no whole run
	@python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

coverage: export COVERAGE_FILE := $(CURDIR)/build/coverage/data
coverage: setup ## measure which branches the tests reach, against a floor: build/coverage has the pages
	@rm -rf build/coverage && mkdir -p build/coverage
	@python -m coverage run -m pytest -n $(WORKERS) --dist worksteal || echo "what failed is judged by make test: measuring slows everything down"
	@coverage combine --quiet && coverage html --quiet
	@coverage report > build/coverage/report.txt; reached=$$?; tail -2 build/coverage/report.txt; exit $$reached

lab: export PYTHONPATH := $(CURDIR)/src
lab: export JUPYTER_CONFIG_PATH := $(CURDIR)/.jupyter
lab: setup ## open JupyterLab at the research notebooks; LAB has more options, such as LAB=--no-browser
	@case "$$(id -u) $(LAB)" in "0 "*--allow-root*|[1-9]*) ;; *) echo "You are root: whoever opens JupyterLab's address could run anything on this machine."; \
		echo "Better as another user; otherwise say make lab LAB=\"--allow-root$(if $(LAB), $(LAB))\""; exit 1;; esac
	@jupyter lab $(LAB)

dashboards: setup ## serve the dashboards in a browser
	@quiebra dashboards

serve: setup ## serve predictions to other systems over HTTP
	@quiebra serve

docs: setup ## build the documentation's site, tutorials executed, in build/docs/site
	@test -f data/scores/run.json || quiebra run
	@python docs/build_site.py

bench: setup ## print side-by-side timings and quality comparisons
	@python benchmarks/run.py
	@python benchmarks/dashboards.py
	@python benchmarks/operations.py

clean: ## remove what the stages made and the installation; your files in data/raw, the register of models and the log of verdicts stay
	find models -mindepth 1 -maxdepth 1 ! -name registry ! -name register.json ! -name champion.json -exec rm -rf {} + 2>/dev/null || true
	rm -rf $(VENV) reports/build .dvc/cache .dvc/tmp dvc_plots
	find data -mindepth 1 -maxdepth 1 ! -name raw ! -name research -exec rm -rf {} +
