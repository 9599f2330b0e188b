# All commands of this repository. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Programs that run on a host have their own locks. They are compiled before dev.lock, which is bound to their versions.
SERVERS_IN := $(wildcard images/*/requirements.in roles/*/files/requirements.in)

# Its Dockerfile installs torch, whose hash depends on the platform.
WHISPERX_IN := images/whisperx/requirements.in
WITHOUT_TORCH := --no-allow-unsafe $(addprefix --unsafe-package=,torch torchaudio torchcodec)

COMPILE := CUSTOM_COMPILE_COMMAND="make lock" pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^##/ { print "\n" substr($$0, 4) } /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## The demo

.PHONY: demo demo-down
demo: ## Deploy to a container that stands in for a VPS, and print two transcripts
	demo/up

demo-down: ## Remove the demo; downloads stay in .cache
	demo/down

## Servers

.PHONY: host bundle
host: tools ## Create an inventory with generated secrets: make host NAME=srv1.example.com ADDRESS=192.0.2.10
	@python -m tools.new_host '$(NAME)' $(if $(ADDRESS),'$(ADDRESS)')

bundle: tools engine ## Build an offline bundle: make bundle HOST=srv1.example.com INVENTORY=inventory/srv1.example.com
	ansible-playbook playbooks/bundle.yml $(if $(INVENTORY),--inventory '$(INVENTORY)') $(if $(HOST),--limit '$(HOST)')

## Tools

.PHONY: tools dev-tools engine images models wheels
tools: .venv/ansible.stamp ## Install Ansible into .venv

dev-tools: .venv/dev.stamp .venv/javascript.stamp ## Install test tools and linters into .venv

.venv/ansible.stamp: ansible.lock
	tools/install-lock $<
	@touch $@

.venv/dev.stamp: dev.lock .venv/ansible.stamp
	tools/install-lock $<
	@touch $@

# npm and Node.js are of dev.lock.
.venv/javascript.stamp: tools/javascript/package-lock.json .venv/dev.stamp
	mkdir -p .venv/javascript
	cp tools/javascript/package.json tools/javascript/package-lock.json .venv/javascript
	cd .venv/javascript && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

engine: ## Make sure that Docker is running on this machine
	testbed/engine up

images: engine ## Build the images of the test bed: a bare VPS, and the base of the services' images
	testbed/images

models: tools ## Download the models and recordings of demo and tests
	python testbed/models.py

wheels: tools ## Download PyTorch for the image of WhisperX in demo and tests
	python testbed/wheels.py

## Tests

.PHONY: check test test-all test-unit test-page test-engine test-accuracy test-media test-templates test-monitoring test-preflight
.PHONY: test-api test-guide test-browser
.PHONY: test-autostart test-interruptions test-meetings test-whisperx test-kills molecule bench bench-quick
check: dev-tools ## Tests without Docker and models, in three minutes: lint, unit, templates
	$(MAKE) --keep-going --jobs=2 --output-sync=target lint-ansible test-unit lint-types lint-python lint-page lint-yaml lint-shell test-page test-templates

test: ## Tests that every change must pass: the check, engines, a deployment, the demo; half an hour
	tools/run-tests

test-all: ## Also all Molecule scenarios, accuracy on all recordings, kills, long fuzzing; hours
	tools/run-tests all

# Half of the time they wait for sockets, processes and short timeouts.
test-unit: dev-tools ## Unit tests, two processes per CPU: make test-unit SCHEDULES=10000
	$(if $(SCHEDULES),SCHEDULES='$(SCHEDULES)') pytest --numprocesses=$$(($$(nproc) * 2)) --dist=worksteal tests/unit

test-page: dev-tools ## Unit tests of the portal's page, what of it needs no browser
	node --test tests/page/*.mjs

test-engine: dev-tools models ## Test the engine of faster-whisper with real models and recordings
	pytest --numprocesses=auto --dist=loadfile tests/engine

test-accuracy: dev-tools models ## Compare the accuracy with the library on all recordings; make test uses a part of them
	ACCURACY_RECORDINGS=all pytest tests/engine/test_accuracy.py

test-media: dev-tools models ## Test unusual, damaged and hostile files, with a fuzzer: make test-media FUZZ_COUNT=20000 FUZZ_SEED=1
	pytest tests/media

test-templates: dev-tools ## Render the roles' templates without a host
	pytest tests/templates

test-monitoring: dev-tools ## Test alert rules, dashboard and configuration with Prometheus' own programs
	pytest tests/monitoring

test-preflight: dev-tools engine ## Test the checks before a deployment
	testbed/images vps
	pytest tests/preflight

molecule: dev-tools engine models wheels ## Run one Molecule scenario: make molecule S=default
	testbed/images vps python $(shell grep -qs bookworm 'molecule/$(S)/molecule.yml' && echo vps-bookworm)
	molecule test --scenario-name $(or $(S),default)

test-api: dev-tools .demo/env ## Test the public API of the running demo
	set -a; . .demo/env; pytest tests/api

test-guide: dev-tools .demo/env ## Run every code block of the user guides against the running demo
	set -a; . .demo/env; pytest tests/guide

test-browser: dev-tools .demo/env ## Test the portal of the running demo in Chromium; SCREENSHOT=docs/portal.png only takes the documentation's pictures
	tests/browser/chromium
	set -a; . .demo/env; SCREENSHOT='$(SCREENSHOT)' pytest tests/browser$(if $(SCREENSHOT),/test_page_pictures.py)

test-interruptions: dev-tools .demo/env ## Test the portal's page with connections, tabs and servers that fail during a job
	tests/browser/chromium
	set -a; . .demo/env; pytest tests/interruptions

test-meetings: dev-tools .demo/env ## Test an hour of meeting with speakers on the running demo; half an hour
	set -a; . .demo/env; pytest tests/meetings

test-autostart: dev-tools .demo/env ## Test cold starts, idle stops and restarts on the running demo, with a short idle timeout
	tests/autostart/run

test-whisperx: dev-tools engine models ## Test the WhisperX image with a real pipeline, in its own container
	testbed/images python
	testbed/whisperx build
	trap 'testbed/whisperx down' EXIT; testbed/whisperx up; \
	  WHISPERX_URL=http://127.0.0.1:$${WHISPERX_PORT:-18002} pytest tests/whisperx_api

.demo/env:
	@echo "There is no demo to test. Start one: make demo" >&2; exit 1

test-kills: dev-tools engine models wheels ## Kill deployments at random moments, and check that the next run repairs each: make test-kills COUNT=20
	testbed/images vps python
	python -m tests.kills $(if $(COUNT),--count $(COUNT))

bench: dev-tools ## Run the benchmarks: make bench, or make bench SUITE=first_light for one suite
	benchmarks/run $(SUITE)

bench-quick: dev-tools models ## Benchmark the transcription speed in under three minutes: make bench-quick PEER=NAME=URL
	benchmarks/run speed --quick $(if $(PEER),--peer '$(PEER)')

## Linters

.PHONY: lint lint-ansible lint-yaml lint-python lint-types lint-page lint-shell
lint: dev-tools ## All linters, two at a time
	$(MAKE) --keep-going --jobs=2 --output-sync=target lint-ansible lint-types lint-python lint-page lint-yaml lint-shell

lint-ansible: dev-tools ## ansible-lint
	ansible-lint --strict

lint-yaml: dev-tools ## yamllint
	yamllint --strict .

lint-python: dev-tools ## ruff, and import-linter for which package may import which
	ruff check
	ruff format --check
	PYTHONPATH=images lint-imports --no-cache

lint-types: dev-tools ## mypy
	git ls-files -z --cached --others --exclude-standard --deduplicate '*.py' | xargs -0 mypy

lint-page: dev-tools ## Types and format of the portal's page, by TypeScript and Prettier
	.venv/javascript/node_modules/.bin/tsc --project tools/javascript
	.venv/javascript/node_modules/.bin/prettier --config tools/javascript/prettier.json --check roles/portal/files tests/page

lint-shell: dev-tools ## shellcheck
	tools/shell-scripts | xargs -0 shellcheck

## Upkeep

.PHONY: docs lock tls-audit clean
docs: dev-tools ## Write the READMEs of roles and servers, tables of measurements, alert rules and the dashboard
	python -m tools.role_readme
	python -m tools.server_readme
	python -m tools.measured_tables
	PYTHONPATH=images:roles/autostart/files python -m tools.monitoring

lock: dev-tools ## Compile the lock files; LOCK_FLAGS=--upgrade for newer versions
	$(COMPILE) $(LOCK_FLAGS) ansible.in -o ansible.lock
	for in in $(filter-out $(WHISPERX_IN),$(SERVERS_IN)); do $(COMPILE) $(LOCK_FLAGS) $$in -o $${in%.in}.lock; done
	$(COMPILE) $(LOCK_FLAGS) $(WITHOUT_TORCH) $(WHISPERX_IN) -o $(WHISPERX_IN:.in=.lock)
	$(COMPILE) $(LOCK_FLAGS) dev.in -o dev.lock

tls-audit: dev-tools .demo/env ## Audit the running demo with testssl.sh, and write docs/security.md
	set -a; . .demo/env; python -m tools.tls_audit "$$VPS_CONTAINER" whisper.localhost "$$CA_FILE"

clean: ## Remove the tools and their caches; the demo, models and images stay
	rm -rf .venv .ansible .hypothesis .cache/mypy .cache/ruff .pytest_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
