# Every target does its own set-up in .venv. UV_FIND_LINKS lets uv use local wheels where a machine offers them.
SHELL := /bin/bash
PYTHON ?= python3
UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_FIND_LINKS
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test lint types bench lock clean

help:
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --group dev --editable .
	touch $@

setup: $(READY)  ## install everything into .venv

demo: $(READY)  ## generate jets, train, compress, export, build firmware, verify, report: runs/demo/
	$(BIN)/triggerforge run configs/demo.yaml

test: $(READY)  ## the whole test suite, with line coverage
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term tests

lint: $(READY)  ## ruff and strict mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## every engine and network side by side: runs/bench/
	$(BIN)/triggerforge benchmark configs/bench.yaml

lock:  ## resolve pyproject.toml anew into constraints.txt
	$(BIN)/uv pip compile pyproject.toml --group dev --python-version 3.11 --no-header --no-annotate --quiet \
	  | sed -E 's/\+cpu$$//' > constraints.txt

clean:  ## remove the environment, keep runs/
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
