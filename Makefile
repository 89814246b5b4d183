# Two commands for a fresh machine: `make face_improve` and `make test`. Both make the environment they need.
PYTHON ?= python3
ARGS ?=
VENV := $(CURDIR)/.venv
READY := $(VENV)/.ready

ENTRY_POINTS := $(shell sed -n 's/^  \([a-z0-9_]*\):$$/\1/p' MLproject)
AREAS := face makeup camvid cifar10 artists facescrub

.PHONY: setup test lint tables ui $(ENTRY_POINTS)

setup: $(READY)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	touch $(READY)

# Any entry point: make face_train ARGS="-P data=DIR"
$(ENTRY_POINTS): setup
	PATH="$(VENV)/bin:$$PATH" MLFLOW_DISABLE_TELEMETRY=true \
		mlflow run . -e $@ --env-manager local \
		--experiment-name $(or $(filter $(AREAS),$(firstword $(subst _, ,$@))),transfer) $(ARGS)

test: setup
	PATH="$(VENV)/bin:$$PATH" python -m pytest -n logical --dist worksteal $(ARGS)

lint: setup
	$(VENV)/bin/ruff check .

tables: setup
	$(VENV)/bin/python -m cnnlab.reports.tables

ui: setup
	PATH="$(VENV)/bin:$$PATH" MLFLOW_DISABLE_TELEMETRY=true mlflow ui
