# Each target sets up what it needs, in .venv and target; where nothing changed, that takes no time.
# Needed on the machine: cargo, CPython >= 3.11 with venv, make and a C compiler (cargo links with it).

# The first usable one of python3 and python3.11 to python3.14, unless named here.
PYTHON ?=
# How many simulated clusters `make sim` runs, and from which seed on.
SEEDS ?= 10000
FIRST ?= 0
# What `make bench` asks (beginnings of rows' names), whom, and how often; all of it when empty. QUICK=1: once, and smaller.
ROWS ?=
PEERS ?=
REPEAT ?=
QUICK ?=

VENV := .venv
PY := $(VENV)/bin/python
# One empty file for each step that is done.
DONE := $(VENV)/done
PIP := $(PY) -m pip --disable-pip-version-check --quiet

# maturin, and the Python that pyo3 asks about itself.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# What is tested is the installed package, whatever the shell was set up for.
unexport PYTHONPATH PYTHONHOME

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' Makefile | awk -F': ' '{ printf "make %-10s %s\n", $$1, $$2 }'

tutorial: $(DONE)/package $(DONE)/examples ## install the package and run the tutorial
	$(PY) examples/tutorial.py

# ray-python is an extension module: it links only inside an interpreter, where the Python tests meet it.
test: $(DONE)/package $(DONE)/test ## install the package and run all tests
	if cargo nextest --version >/dev/null 2>&1; then \
	    cargo nextest run --locked --workspace --exclude ray-python --no-fail-fast && \
	    cargo test --locked --workspace --exclude ray-python --doc --quiet; \
	else \
	    cargo test --locked --workspace --exclude ray-python --no-fail-fast; \
	fi
# These are real processes on whatever machine this is, which may stall for seconds: what failed is asked once more, alone, and both runs
# are shown. It fails if it fails twice.
	$(PY) -m pytest || $(PY) -m pytest --last-failed --last-failed-no-failures none

# The stub of the extension is compared with the extension itself, once there is one.
STUB := $(wildcard python/ray/_core.pyi)
check: export PYTHONDONTWRITEBYTECODE := 1
check: export MYPY_CACHE_DIR := $(VENV)/mypy
check: $(DONE)/dev $(if $(STUB),$(DONE)/package) ## formatting, lints and types; changes no file
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(PY) -m ruff check --no-cache
	$(PY) -m ruff format --no-cache --check
	$(PY) -m mypy
	$(if $(STUB),$(PY) -m mypy.stubtest --mypy-config-file pyproject.toml ray._core)

fix: $(DONE)/dev ## formatting, and the lints that a machine can follow
	cargo clippy --locked --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all
	$(PY) -m ruff check --no-cache --fix
	$(PY) -m ruff format --no-cache

bench: $(DONE)/package $(DONE)/examples ## measure raio, its peers and the floors; QUICK=1 ROWS=tasks PEERS=raio,ray REPEAT=3
	$(PY) bench/run.py $(if $(QUICK),--quick) $(if $(ROWS),--rows "$(ROWS)") $(if $(PEERS),--peers "$(PEERS)") \
	    $(if $(REPEAT),--repeat $(REPEAT))

# `make test` runs the first few hundred of the same.
sim: ## run SEEDS=10000 simulated clusters from seed FIRST=0 on; SEED=7 for that one
	RAY_SIM_SEEDS=$(SEEDS) RAY_SIM_FIRST=$(FIRST) $(if $(SEED),RAY_SIM_SEED=$(SEED)) \
	    cargo test --locked --release -p ray-sim --test seeds promises -- --nocapture

build: $(DONE)/package ## install the package in .venv

wheel: $(DONE)/build ## the files to publish, a wheel for this platform and the sources, in dist
	MATURIN_PEP517_ARGS="--compatibility pypi" $(PY) buildtools/backend.py build_wheel dist
	$(PY) buildtools/backend.py build_sdist dist

clean: ## forget everything built and installed
	cargo clean --quiet
	rm -rf $(VENV) dist python/ray/_bin python/ray/*.so

.PHONY: help tutorial test check fix bench sim build wheel clean FORCE
# Steps install into one environment.
.NOTPARALLEL:

# Made again when the interpreter it came from is gone, or when another one is asked for.
MADE_FOR := $(shell test -x $(PY) && cat $(DONE)/venv 2>/dev/null)
ifeq ($(filter $(MADE_FOR),$(or $(PYTHON),$(MADE_FOR))),)
$(DONE)/venv: FORCE
endif
$(DONE)/venv:
	python="$$(sh buildtools/find-python "$(PYTHON)")" && rm -rf $(VENV) && "$$python" -m venv $(VENV)
	mkdir $(DONE)
	echo "$(or $(PYTHON),any)" >$@

# build: what builds the package, and what it needs to run; examples, test, dev: the extras of that name.
$(DONE)/%: $(DONE)/venv pyproject.toml buildtools/requirements.py
	$(PY) buildtools/requirements.py $* >$(DONE)/$*.txt
	$(PIP) install --compile -r $(DONE)/$*.txt
	touch $@

# Directories are listed too: they change when a file comes or goes. What only tests use is not part of the package.
SOURCES := Cargo.toml Cargo.lock pyproject.toml README.md LICENSE buildtools/backend.py \
    $(shell find crates python \( -name ray-sim -o -name tests -o -name tests.rs -o -name examples -o -name _bin \
        -o -name __pycache__ -o -name '*.so' \) -prune -o -print)
$(DONE)/package: $(DONE)/build $(SOURCES)
	rm -rf $(VENV)/wheel
	$(PY) buildtools/backend.py build_wheel $(VENV)/wheel
	$(PIP) install --compile --force-reinstall --no-deps $(VENV)/wheel/*.whl
	touch $@
