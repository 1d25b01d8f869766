# Every target does its own set-up in .venv. UV_FIND_LINKS lets uv use local wheels where a machine offers them.
SHELL := /bin/bash
PYTHON ?= python3
UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_FIND_LINKS
# where bytecode is not kept, every process compiles its imports again: 10 s each time with Keras
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal tests

.PHONY: help setup demo test test-long coverage lint bench lock qkeras clean

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

test: $(READY) qkeras  ## the test suite
	$(PYTEST)

test-long: $(READY) qkeras  ## what takes long: every network and layer end to end, kills in every stage, …
	$(PYTEST) -m long

coverage: $(READY) qkeras  ## the test suite, and which lines it runs; half as long again
	$(PYTEST) --cov --cov-report=term

lint: $(READY)  ## ruff and strict mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)  ## every engine and network side by side: runs/bench/
	$(BIN)/python -m triggerforge.benchmark.suite -o runs/bench

lock:  ## resolve pyproject.toml anew into constraints.txt
	$(BIN)/uv pip compile pyproject.toml --group dev --python-version 3.11 --no-header --no-annotate --quiet \
	  | sed -E 's/\+cpu$$//' > constraints.txt
	printf 'hls4ml[qkeras]==1.3.0\npyparsing<3.3\n' \
	  | $(BIN)/uv pip compile - --python-version 3.11 --no-header --no-annotate --quiet > constraints-qkeras.txt

qkeras: $(VENV)-qkeras/.ready  ## the QKeras environment, .venv-qkeras (TensorFlow 2.14, Keras 2)

# HGQ2 ships a package named qkeras, so the real one lives apart; see compression/qkeras_env/
$(VENV)-qkeras/.ready: constraints-qkeras.txt $(READY)
	$(BIN)/uv venv --quiet --allow-existing --python $(PYTHON) $(VENV)-qkeras
	$(BIN)/uv pip install --quiet --python $(VENV)-qkeras/bin/python --requirement $<
	touch $@

clean:  ## remove the environment, keep runs/
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
