# Everything lives in .venv, which is made from requirements.lock when first needed.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready
JAX_ENVS := .venv-jax-envs
CLUSTER := .venv-cluster

PYTEST := $(BIN)/pytest --quiet

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-crash test-browser test-jax-envs test-cluster \
  lint bench docs lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

demo: $(READY)  ## Train a link and a small team, and report what they learned (a few minutes)
	@$(BIN)/syntony demo

test: $(READY)  ## Run the tests that take seconds (about 11 minutes on two cores)
	@echo "Equations, tasks, channels, systems, training, commands: about 11 minutes"
	@$(PYTEST) --numprocesses 2 --dist loadfile -m "not slow"

test-slow: $(READY)  ## Run the tests that take minutes (an hour; MINUTES=30 skips the rest)
	@echo "Systems that learn, runs that are killed, many oracle steps: about an hour"
	@$(PYTEST) -rs --numprocesses 2 -m "slow and not crash" --ignore tests/browser \
	  --ignore tests/cluster \
	  $(if $(MINUTES),--minutes $(MINUTES) --order "$$(git rev-parse HEAD)")

test-crash: $(READY)  ## Test kills, failing disks, hostile folders, all of them (about two hours)
	@echo "1,000 kills, every failing write, 10,000 damaged folders: about two hours"
	@$(PYTEST) -rs --numprocesses 2 -m crash

test-browser: docs  ## Test docs and a report in Chromium (5 minutes; needs playwright)
	@echo "The documentation from disk, and a report by mouse and by keyboard"
	@$(PYTEST) -rs -m slow tests/browser

test-jax-envs: $(JAX_ENVS)/.ready  ## Test JaxMARL and Jumanji, in an environment of their own (8 minutes)
	@echo "Environments of JaxMARL and Jumanji: about 8 minutes"
	@$(JAX_ENVS)/bin/pytest --quiet -m "not slow" tests/jax_envs

test-cluster: $(CLUSTER)/.ready  ## Test studies on Ray and SLURM, whose nodes and jobs are killed (15 minutes)
	@echo "Studies on a Ray cluster and, where there is sbatch, on SLURM: about 15 minutes"
	@$(CLUSTER)/bin/pytest --quiet -rs -m slow tests/cluster

lint: $(READY)  ## Check style and types
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . \
	  || { echo "lint: not formatted; run $(BIN)/ruff format" >&2; exit 1; }
	@command -v node >/dev/null \
	  || { echo "lint: pyright needs Node.js: install it and repeat" >&2; exit 1; }
	@$(BIN)/pyright

bench: $(READY)  ## Measure the speed of training
	@$(BIN)/python benchmarks/training_speed.py

docs: $(READY)  ## Build the documentation into site/, to be opened by a double click
	@$(BIN)/zensical build --strict --clean
	@{ printf 'var __index = '; cat site/search.json; } >site/search.js  # found from disk

lock: $(READY)  ## Resolve requirements.lock again, after editing pyproject.toml
	@$(BIN)/pip install -qq uv
	@$(BIN)/uv pip compile pyproject.toml --quiet --output-file requirements.lock \
	  --extra dev --extra docs --extra envs --extra sweep --extra tensorboard \
	  --extra video \
	  --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command "make lock"

clean:  ## Remove what was built here, .venv included
	@rm -rf .venv $(JAX_ENVS) $(CLUSTER) site .pytest_cache .ruff_cache .hypothesis
	@find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Python 3.11 or newer is needed, and $(PYTHON) is not:" \
	       "make PYTHON=path/to/python" >&2; exit 1; }
	@echo "Setting up .venv (about a minute, once) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install -qq --require-hashes --requirement requirements.lock
	@$(BIN)/pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

# Locked but for Gymnasium and JAX: those libraries want older ones.
$(JAX_ENVS)/.ready: requirements.lock pyproject.toml
	@echo "Setting up $(JAX_ENVS) (about a minute, once) ..."
	@$(PYTHON) -m venv $(JAX_ENVS)
	@sed -n 's/^\([a-z].*==[^\\]*\).*/\1/p' requirements.lock \
	  | grep -Ev '^(gymnasium|jax|jaxlib)==' >$(JAX_ENVS)/constraints.txt
	@$(JAX_ENVS)/bin/pip install -qq --constraint $(JAX_ENVS)/constraints.txt \
	  hatchling hatch-vcs editables
	@$(JAX_ENVS)/bin/pip install -qq --constraint $(JAX_ENVS)/constraints.txt \
	  --no-build-isolation --editable '.[dev,jaxmarl,jumanji]'
	@touch $@

# Locked as .venv is, with Ray and submitit in addition.
$(CLUSTER)/.ready: requirements.lock pyproject.toml
	@echo "Setting up $(CLUSTER) (about a minute, once) ..."
	@$(PYTHON) -m venv $(CLUSTER)
	@sed -n 's/^\([a-z].*==[^\\]*\).*/\1/p' requirements.lock >$(CLUSTER)/constraints.txt
	@$(CLUSTER)/bin/pip install -qq --constraint $(CLUSTER)/constraints.txt \
	  hatchling hatch-vcs editables
	@$(CLUSTER)/bin/pip install -qq --constraint $(CLUSTER)/constraints.txt \
	  --no-build-isolation --editable '.[dev,ray,slurm,sweep]'
	@touch $@
