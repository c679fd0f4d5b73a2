# Two commands do all their own set-up: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One for each core: stories keep to theirs (tests/conftest.py), and one more worker slows the others.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count() or 1)")
READY := $(VENV)/.ready

.PHONY: demo test test-postgresql prove mutants install lint screenshots bench lock clean

# What `make test` ran on SQLite alone, on PostgreSQL: a private server, from Debian's packages.
test-postgresql: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --database postgresql $(PATHS)

install: $(READY)

demo: $(READY)
	$(BIN)/aftercare demo

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

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
	SCREENSHOTS=docs/screenshots $(BIN)/python -m pytest tests/web/test_two_phones.py tests/web/test_three_phones.py

# The full proofs; each writes what it reached into docs/reliability.md, where they are described.
# AFTERCARE_SEED=12345 replays one, DATABASE=postgresql runs it there.
DATABASE ?= sqlite
PROOFS := kills updates script machine disk outages zones clock backups instances
prove-kills: export AFTERCARE_KILLS = 1000
prove-kills: export AFTERCARE_PATIENTS = 3000
prove-kills: WHERE = tests/faults/test_kills.py
prove-updates: export AFTERCARE_KILLS = 500
prove-updates: export AFTERCARE_UPDATES = 10000
prove-updates: WHERE = tests/faults/test_updates.py
prove-script: export AFTERCARE_SCRIPT = 1000
prove-script: WHERE = tests/faults/test_script.py
prove-machine: export AFTERCARE_EXAMPLES = 60
prove-machine: WHERE = tests/faults/test_machine.py
prove-disk: export AFTERCARE_UPDATES = 1000
prove-disk: WHERE = tests/faults/test_disk.py
prove-outages: export AFTERCARE_OUTAGES = 200
prove-outages: WHERE = tests/faults/test_outages.py
prove-zones: export AFTERCARE_ZONES = all
prove-zones: WHERE = tests/domain/test_zone_changes.py
prove-clock: export AFTERCARE_JUMPS = 100
prove-clock: WHERE = tests/faults/test_clock_jumps.py
prove-backups: export AFTERCARE_BACKUPS = 50
prove-backups: WHERE = tests/faults/test_backups.py
prove-instances: export AFTERCARE_MINUTES = 10
prove-instances: WHERE = tests/faults/test_two_processes.py

prove-%: $(READY)
	AFTERCARE_RECORD=1 $(BIN)/python -m pytest --database $(DATABASE) -o log_cli=true --timeout 0 $(WHERE)

prove: $(PROOFS:%=prove-%)

# Small faults in the files that matter most: do the tests notice? MUTANTS=2000 takes a larger sample.
mutants: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "cosmic-ray>=8.7,<9"
	AFTERCARE_RECORD=1 $(BIN)/python -m tests.mutants

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
