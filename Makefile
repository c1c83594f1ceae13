# make train   from nothing to a trained, evaluated model of handwritten digits
# make test    lint and the default test suite; make test-slow runs what carries the marker "slow"

PYTHON ?= python3
BIN := .venv/bin

.PHONY: train test test-slow .venv

train: .venv
	$(BIN)/python scripts/build_tfrecords.py digits --out data/digits
	$(BIN)/python scripts/train.py --data data/digits --run runs/digits --config recipes/digits.yaml

test: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0

test-slow: .venv
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile --max-worker-restart 0

.venv: .venv/.installed

# The stamp is written last, so a broken install is made again; a changed setup.cfg installs anew.
.venv/.installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(f"Expected Python 3.11-3.13. Received: {v[0]}.{v[1]}. Choose one with make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@
