# Two commands do all their own set-up: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-postgresql install lint screenshots bench lock clean

# What `make test` ran on SQLite alone, on PostgreSQL: a private server, from Debian's packages.
test-postgresql: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal --database postgresql $(PATHS)

install: $(READY)

demo: $(READY)
	$(BIN)/aftercare demo

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/deptry .
	$(BIN)/aftercare check

# Renews the pictures of the README by living through the demo in a real browser.
screenshots: $(READY)
	SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest tests/web/test_two_phones.py

bench: $(READY)
	$(BIN)/python -m benchmarks

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try: make PYTHON=python3.12 " + "demo")'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing what the bot needs (a minute or two, once) …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

# Names, versions and hashes of everything, for Python 3.11 and newer on any system.
lock:
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet uv
	$(VENV)/lock/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --quiet \
		--custom-compile-command "make lock" -o requirements.lock

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .hypothesis
