# Every command sets up what it needs.
.PHONY: demo test core start lint types check-infra browser prove mutants audit licences clean

# What does not need each other is made side by side.
MAKEFLAGS += --jobs=2

PYTHON := .venv/bin/python
READY := .venv/.ready
# What `make mutants` goes through: a module of it is `status_core.grace`.
MODULE := status_core

demo: $(READY) node_modules/.package-lock.json
	@$(PYTHON) -m local demo

test: $(READY) node_modules/.package-lock.json lint types check-infra core browser
	$(PYTHON) -m pytest --numprocesses=auto --dist=loadfile --ignore=tests/status_core

# Hours on two cores: what `make test` does in a minute, many times over.
prove: $(READY) node_modules/.package-lock.json
	$(PYTHON) -m tests.model --histories 100000
	$(PYTHON) -m tests.fuzz --inputs 1000000
	$(PYTHON) -m tests.flood --notifications 100000 --devices 3000

# About an hour on two cores: status_core is changed in one place after the other, and each time a test has to fail.
mutants: .venv-mutants/.ready
	.venv-mutants/bin/mutmut run "$(MODULE).*"
	.venv-mutants/bin/mutmut results

start: $(READY) node_modules/.package-lock.json
	@sh scripts/start

core: $(READY)
	$(PYTHON) -m coverage run --source=status_core -m pytest tests/status_core
	$(PYTHON) -m coverage report --fail-under=100

lint: $(READY) check-infra
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: $(READY)
	$(PYTHON) -m mypy

check-infra: $(READY) node_modules/.package-lock.json
	$(PYTHON) -m checks.infra

# Asks the services of PyPI and npm, so `make test` does without.
audit:
	@sh scripts/audit

licences: $(READY)
	$(PYTHON) -m checks.licences >docs/licences.md.new
	mv docs/licences.md.new docs/licences.md

browser: $(READY)
	@sh scripts/chromium >/dev/null

$(READY): requirements.txt requirements-dev.txt constraints.txt
	sh scripts/python313 -m venv .venv
	$(PYTHON) -m pip install --quiet --requirement requirements-dev.txt
	touch $@

# An environment of its own: mutmut brings a user interface with it, which nothing else needs.
.venv-mutants/.ready: Makefile constraints.txt
	sh scripts/python313 -m venv .venv-mutants
	.venv-mutants/bin/python -m pip install --quiet --constraint constraints.txt \
		mutmut==3.8.1 pytest pytest-asyncio hypothesis
	touch $@

node_modules/.package-lock.json: package.json package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or later (it brings Azurite)" >&2; exit 1; }
	npm ci --no-audit --no-fund
	touch $@

clean:
	rm -rf .venv .venv-mutants mutants node_modules
