# `make help` lists the targets. Everything runs in .venv, which the first target creates.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install demo docs site docs-env test test-slow test-docs test-soak test-verdicts test-foreign test-browser test-card test-distributed mutants lint study study-digits bench-env bundle report-bundle hashes release-check release-env clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

$(STAMP): setup.py setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
		-c constraints.txt -e '.[dev]'
	@touch $@

install: $(STAMP) ## make .venv, with spectra in it
	@echo "ready; try: $(BIN)/spectra analyze bundled:digits/ce-drw"

demo: $(STAMP) ## train on real digits-LT, compute per-class spectra, draw (a few minutes)
	$(BIN)/spectra pipeline checkpoints/studies/demo.toml -o runs/demo

test: $(STAMP) ## run linters, type checks and the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test-slow: $(STAMP) ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

test-soak: $(STAMP) ## 500 analyses, 200 figures and 50 trainings, memory watched (three minutes)
	$(BIN)/python -m pytest -m slow tests/long_runs

docs: test-docs site ## run what the pages show, build the site

site: docs-env ## build the site into site/: pages, reference, gallery, notebooks (two minutes)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict -f docs/mkdocs/mkdocs.yml

test-docs: $(STAMP) ## run the code blocks of the README and of all pages (two minutes)
	$(BIN)/python -m pytest -n auto --dist load -m docs tests/docs

test-faults: $(STAMP) ## kill, fill the disk, and so on, at every write of five jobs (15 minutes)
	$(BIN)/python -m pytest -m "not slow" tests/faults

fuzz: $(STAMP) ## read changed files: by coverage for 30 minutes, then at random
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[fuzz]'
	$(BIN)/python tests/fuzz/by_coverage.py --minutes 30
	$(BIN)/python -m pytest --hypothesis-profile=long tests/fuzz

test-verdicts: $(STAMP) ## search 600 points with known answers, print the table (ten minutes)
	$(BIN)/python -m pytest -m slow tests/landscape/controls/test_verdict_power.py

test-foreign: $(STAMP) ## install timm, transformers and wandb, and test what works with them
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt transformers huggingface_hub safetensors pyyaml wandb
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps timm
	$(BIN)/python -m pytest -m foreign tests/foreign tests/results/writers

test-browser: $(STAMP) ## try the page of `spectra report` in Chromium (a minute); with npm, axe-core too
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	@! command -v npm >/dev/null || npm --prefix figures/report/page ci --silent --ignore-scripts
	$(BIN)/python -m pytest -m browser tests/browser

test-distributed: $(STAMP) ## try several processes, side by side and as jobs (minutes)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cluster]'
	$(BIN)/python -m pytest -m distributed tests

test-card: $(STAMP) ## try what a GPU would refuse, on a pretended one, and its suite dry (two minutes)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m card tests/gpu tests/bench

mutants: $(STAMP) ## see how many of 300 planted mistakes the tests notice (hours)
	$(BIN)/python tests/mutation

lint: $(STAMP) ## mend what the linters can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

study-digits: $(STAMP) ## the five-seed study behind docs/digits.md (about half an hour)
	$(BIN)/spectra pipeline checkpoints/studies/digits.toml -o runs/digits

study: $(STAMP) ## draw the study's figures and write its pages from its stored results
	$(BIN)/python docs/study

docs-env: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -e '.[docs]'

bench-env: $(STAMP) ## install the libraries that `spectra bench` compares with
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -e '.[bench]'

bundle: $(STAMP) ## retrain the bundled digits networks; those of CIFAR-10-LT stay
	$(BIN)/python -m checkpoints.bundling

report-bundle: ## build the page of `spectra report` from its sources, as package-lock.json pins them (npm)
	cd figures/report/page && npm ci --ignore-scripts --no-audit --no-fund && node build.mjs

hashes: release-env ## look up the SHA-256 of every file of the versions in constraints.txt
	$(BIN)/python tests/release/hashes.py

release-check: release-env ## build twice, compare, install elsewhere, try it there; TORCH=2.11.0 chooses torch
	$(BIN)/python tests/release/check_release.py $(if $(TORCH),--torch $(TORCH))

release-env: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -e '.[release]'

clean: ## remove the environment and caches; runs/ stays
	rm -rf $(VENV) site .mypy_cache .ruff_cache .pytest_cache *.egg-info build
