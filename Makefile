# make demo: the main job, from nothing.  make test: the tests, from nothing.  Both set up .venv themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench clean

demo: $(VENV)/.installed
	$(BIN)/isogloss plan examples/baltic.toml -o demo/baltic-plan
	$(BIN)/isogloss expand --languages 2x
	$(BIN)/isogloss fit isogloss://help-texts --law family -o demo/help-texts
	@echo "Open demo/baltic-plan/plan.html and demo/help-texts/fit.html in a browser."

# By file: tests of one file share fits and compiled programs, and two Rays at once get into each other's way.
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m "not slow"

# The rest: simulations, whole posteriors, killed workers. Minutes; every change runs both.
.PHONY: slow
slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m slow

# Format, lint and types, as the checks on every change run them.
check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check src tests tools benchmarks experiments
	$(BIN)/ruff check src tests tools benchmarks experiments
	$(BIN)/pyright

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/fit_speed.py
	$(BIN)/python benchmarks/joint_speed.py
	$(BIN)/python benchmarks/plan_speed.py
	$(BIN)/python benchmarks/train_speed.py
	$(BIN)/python benchmarks/tokenise_speed.py
	$(BIN)/python benchmarks/killing.py
	$(BIN)/python benchmarks/lint_speed.py
	$(BIN)/python benchmarks/explorer_speed.py

# Simulated studies with known truth: hours.
.PHONY: studies
studies: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/coverage.py
	$(BIN)/python benchmarks/crossing.py
	$(BIN)/python benchmarks/pooling.py
	$(BIN)/python benchmarks/table1.py
	$(BIN)/python benchmarks/transfer.py
	$(BIN)/python benchmarks/transfer_fitted.py
	$(BIN)/python benchmarks/design.py
	$(BIN)/python benchmarks/calibration.py
	$(BIN)/python benchmarks/calibration.py --fits --truths 10

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "isogloss needs Python 3.11 or newer; found $$($(PYTHON) --version). Set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) demo build dist
