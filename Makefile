# Two commands for a fresh machine: `make face_improve` and `make test`. Both make the environment they need.
PYTHON ?= python3
ARGS ?=
VENV := $(CURDIR)/.venv
READY := $(VENV)/.ready

.PHONY: setup face_data face_train face_detect face_improve test lint tables ui

setup: $(READY)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	touch $(READY)

# Any entry point: make face_train ARGS="-P data=DIR"
face_data face_train face_detect face_improve: setup
	PATH="$(VENV)/bin:$$PATH" MLFLOW_DISABLE_TELEMETRY=true \
		mlflow run . -e $@ --env-manager local --experiment-name face $(ARGS)

test: setup
	PATH="$(VENV)/bin:$$PATH" python -m pytest $(ARGS)

lint: setup
	$(VENV)/bin/ruff check .

tables: setup
	$(VENV)/bin/python -m cnnlab.reports.tables

ui: setup
	PATH="$(VENV)/bin:$$PATH" MLFLOW_DISABLE_TELEMETRY=true mlflow ui
