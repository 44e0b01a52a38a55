# Everything a developer types.  Only Python 3.11 (or later) and make are needed; the rest goes into .venv.

PYTHON  ?= $(shell command -v python3.11 || command -v python3)
VENV    ?= .venv
BIN     := $(VENV)/bin
PYTEST  := $(BIN)/python -m pytest -q -n 2 --dist loadfile
ALL     := -m "not cuda and not bench"

.PHONY: help demo test test-all test-check bench bench-smoke lint types clean

help:
	@echo "make demo         sea water and digits, plain against compiled; training of two networks"
	@echo "make test         the fast suite (minutes)"
	@echo "make test-all     every test: full products, slow tests, random programs, then again with TRACEJIT_CHECK=1"
	@echo "make bench        the benchmark table against every peer that is installed (bench/README.md)"
	@echo "make bench-smoke  every workload once, on tiny sizes"
	@echo "make lint types   ruff; mypy --strict"

$(BIN)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade pip
	$(BIN)/python -m pip install -q -e '.[dev,demo]'
	touch $@

demo: $(BIN)/.ready
	$(BIN)/python examples/demo.py

test: $(BIN)/.ready
	$(PYTEST)

test-all: $(BIN)/.ready
	$(PYTEST) $(ALL)
	$(MAKE) test-check

test-check: $(BIN)/.ready
	TRACEJIT_CHECK=1 $(PYTEST)

bench: $(BIN)/.ready
	$(BIN)/python -m bench --json bench/results.json

bench-smoke: $(BIN)/.ready
	$(BIN)/python -m bench --smoke

lint: $(BIN)/.ready
	$(BIN)/ruff check .

types: $(BIN)/.ready
	$(BIN)/mypy --strict tracejit

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
