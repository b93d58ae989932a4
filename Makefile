# Every command sets up what it needs. `make help` says what each does.
.PHONY: demo help setup quick test core start lint types check-infra check-schemas check-javascript schemas browser \
	prove soak mutants audit licences clean

# What does not need each other is made side by side.
MAKEFLAGS += --jobs=2

PYTHON := .venv/bin/python
READY := .venv/.ready
NODE_READY := node_modules/.package-lock.json
# Tests often wait for a server: three processes keep two cores busy.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) \* 3 / 2)
# What `make mutants` goes through: a module of it is `status_core.grace`.
MODULE := status_core

demo: $(READY) $(NODE_READY) ## The whole app on this machine, with a simulated fleet
	@$(PYTHON) -m local demo

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand --tabs=20

setup: $(READY) $(NODE_READY) browser ## All that the other targets need, and nothing else

quick: $(READY) lint types ## Lint, types, and the tests that need nothing but Python: less than a minute
	$(PYTHON) -m pytest --quiet --numprocesses=auto --dist=loadfile -m "not outside" \
		tests/status_core tests/status_app tests/test_*.py

test: $(READY) $(NODE_READY) lint types check-infra core browser ## All that CI runs
	$(PYTHON) -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder --ignore=tests/status_core

prove: $(READY) $(NODE_READY) ## Hours: what `make test` does in a minute, many times over
	$(PYTHON) -m tests.model --histories 100000
	$(PYTHON) -m tests.fuzz --inputs 1000000
	$(PYTHON) -m tests.flood --notifications 100000 --devices 3000
	$(PYTHON) -m tests.flood --notifications 100000 --devices 10000 --processes 4

soak: $(READY) $(NODE_READY) ## An hour: the app under load and faults, its memory, sockets and lag each minute
	$(PYTHON) -m tests.soak --minutes 60

mutants: .venv-mutants/.ready ## Hours: changes status_core in one place after the other, and each time a test has to fail
	.venv-mutants/bin/mutmut run "$(MODULE).*"
	.venv-mutants/bin/mutmut results

start: $(READY) $(NODE_READY) ## The app under Core Tools, against Azurite
	@sh scripts/start

core: $(READY) ## The tests of status_core: each of its branches is covered, and not by chance
	$(PYTHON) -m coverage run --source=status_core -m pytest tests/status_core -m "not hypothesis and not large"
	$(PYTHON) -m coverage report --fail-under=100
	$(PYTHON) -m pytest tests/status_core -m "hypothesis or large"

lint: $(READY) check-infra check-javascript ## All checks of what is written, but types of Python
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: $(READY) ## The types of Python
	$(PYTHON) -m mypy

check-infra: $(READY) $(NODE_READY) ## infra/, and all queries of logs
	$(PYTHON) -m checks.infra

check-schemas: $(NODE_READY) ## schemas/, by the tools that others read it with
	node checks/schemas/main.mjs

# The types of the API's answers come from the check of the schemas.
check-javascript: check-schemas ## The JavaScript of page and checks: its types, and every rule
	node_modules/.bin/tsc --project tsconfig.json
	node_modules/.bin/tsc --project checks/tsconfig.json
	node_modules/.bin/eslint .

schemas: $(READY) $(NODE_READY) ## Copies what each event schema uses of schemas/definitions.json into it; the types of events
	node checks/schemas/definitions.mjs
	$(PYTHON) -m checks.event_models >status_core/events.py.new
	mv status_core/events.py.new status_core/events.py

audit: ## Known weaknesses of packages; asks PyPI and npm, so `make test` does without
	@sh scripts/audit

licences: $(READY) ## Writes docs/licences.md
	$(PYTHON) -m checks.licences >docs/licences.md.new
	mv docs/licences.md.new docs/licences.md

browser: $(READY) ## A Chromium for the tests of the page
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

$(NODE_READY): package.json package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 22 or later (it brings Azurite)" >&2; exit 1; }
	npm ci --no-audit --no-fund
	touch $@

clean: ## Removes what the others set up
	rm -rf .venv .venv-mutants mutants node_modules
