# `make demo` and `make test` need Python, git, make and a package registry; the rest they fetch themselves.
# uv makes .venv, exactly as uv.lock says; where there is no uv, pip puts one into .uv first.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: clean demo docs environment format help lint test test-exhaustive test-slow torch

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
SYNCED := .venv/.synced
TORCH_VERSION := 2.13.0
# A folder of wheels, where one is given, else uv's CPU build: never the gigabytes of CUDA.
TORCH_FROM := $(if $(PIP_FIND_LINKS),$(foreach links,$(PIP_FIND_LINKS),--find-links $(links)),--torch-backend=cpu)
JOBS ?= 2
ARGS ?=

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Whatever the caller has set, uv makes .venv here, and in each project that the tests make its own.
unexport VIRTUAL_ENV UV_PROJECT_ENVIRONMENT
# Threads that wait sleep: where others compute too, training took 3.5 s so and 12 to 22 s spinning (2 cores, load 5).
export OMP_WAIT_POLICY ?= PASSIVE

help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1 \2/p' $(MAKEFILE_LIST) | while read -r name words; do printf '  make %-12s %s\n' "$$name" "$$words"; done

environment: $(SYNCED) ## Make .venv as uv.lock says

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet "uv==$$(sed -n '/^name = "uv"$$/{n;s/version = "\(.*\)"/\1/p;}' uv.lock)"

# Compiled once here, so that no first command pays for it.
$(SYNCED): pyproject.toml uv.lock | $(UV)
	env -u PYTHONDONTWRITEBYTECODE UV_COMPILE_BYTECODE=1 $(UV) sync --frozen --inexact
	@touch $@

# The marker says which template ./demo was made from: it is made anew when the template changed, else run again.
# It runs in this environment, so that there is no second one to wait for. Whoever has not told git a name yet gets one
# for the demo's own commit.
demo: $(SYNCED) ## Start a project from the template in ./demo and run its experiment on real data
	@set -eu; \
	if ! git config --get user.email >/dev/null; then \
	  export GIT_AUTHOR_NAME=demo GIT_AUTHOR_EMAIL=demo@localhost; \
	  export GIT_COMMITTER_NAME=demo GIT_COMMITTER_EMAIL=demo@localhost; \
	fi; \
	export DVC_NO_ANALYTICS=true; \
	template=$$(find cookiecutter.json template -type f ! -name '*.pyc' | LC_ALL=C sort | tr '\n' '\0' | xargs -0 cat | cksum); \
	marker=demo/.git/kit-template; \
	if [ -e demo ] && [ ! -e $$marker ]; then \
	  echo "There is a ./demo that 'make demo' did not finish making; move it away first." >&2; exit 2; \
	fi; \
	if [ "$$template" != "$$(cat $$marker 2>/dev/null)" ]; then \
	  rm -rf demo; \
	  kit new demo --no-input --no-lock --no-install; \
	  printf '%s\n' "$$template" > $$marker; \
	fi; \
	cd demo; \
	kit run
	@printf '%s\n' '' \
	  'The project is in ./demo. Look at it:' \
	  '  . .venv/bin/activate && cd demo' \
	  '  kit runs                     all runs, with their metrics' \
	  '  kit show last                one run: code, data, configuration, environment' \
	  '  kit run experiment=fast      another experiment; then: kit diff last RUN' \
	  '  mlflow ui                    the same runs, with plots, in the browser' \
	  '  README.md                    what is where in the project'

torch: $(SYNCED)
	@python -c 'import importlib.util as i, sys; sys.exit(i.find_spec("torch") is None)' \
	  || $(UV) pip install --quiet --python .venv torch==$(TORCH_VERSION) $(TORCH_FROM) \
	  || echo 'PyTorch $(TORCH_VERSION) could not be installed: the tests that need it will be skipped.'

# A file is one worker's, so that its fixtures are made once; in the order collected, the long ones first.
test: torch ## Run the tests, but those that take minutes; ARGS="..." goes to pytest
	pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not slow and not exhaustive" $(ARGS)

test-slow: torch ## Run the tests that take minutes; what needs a cluster is one worker's
	pytest -n $(JOBS) --dist loadgroup -m "slow and not alone and not exhaustive" $(ARGS)
	pytest -m "alone and not exhaustive" $(ARGS)

test-exhaustive: torch ## Run the longest proofs, and more seeds: before a release
	pytest -n $(JOBS) --dist load -m exhaustive $(ARGS)

docs: $(SYNCED) ## Make the documentation site in build/docs/site; a link that leads nowhere is an error
	python -m docs._site

lint: $(SYNCED) ## Check style, types and layers
	ruff check
	ruff format --check
	mypy
	lint-imports

format: $(SYNCED) ## Format the code
	ruff check --fix
	ruff format

clean: ## Remove everything that is not in git's history: environment, demo, caches
	rm -rf .venv .uv demo dist build .coverage .coverage.* coverage.xml .hypothesis .import_linter_cache .mypy_cache \
	  .pytest_cache .ruff_cache
	find kit hydra_plugins tests template -name __pycache__ -type d -prune -exec rm -rf {} +
