# Needs only make and Python 3.11 or newer. Everything is installed into .venv, nothing beside it.
#
#   make lab    JupyterLab, opened on your copy of the first lab (in my_labs/)
#   make run    the main job: labs 00 to 05 on real data    DATASET=ml-latest-small|ml-100k|sample
#   make test   everything a contributor must pass           PYTEST_ARGS="tests/recipes -x" WORKERS=2
#               but for what needs a browser                 MARKS= (that, too)
#   make copies your copies of the labs, without opening JupyterLab
#   make outputs execute the labs and write back their outputs   LABS="04 05"
#   make bench  ours and the peers measured (hours)          QUICK=1 LIMIT=seconds a slow peer has
#   make install only the installation that the others begin with
#   make binder-link  the address that opens this repository on mybinder.org
#   make clean  remove what runs and tests leave behind      (make distclean: .venv as well)
#
# PERSONALENS_DATA=folder reads MovieLens files or zips that are already there.
# TORCH_BACKEND=cpu|cu130|... chooses PyTorch's build; by itself it is the CPU's where no GPU answers.

DATASET ?=
LABS ?=
QUICK ?=
LIMIT ?=
PYTEST_ARGS ?=
WORKERS ?= 2
MARKS ?= not browser

# Notebooks run in labs/, so a relative folder is made absolute here.
ifneq ($(filter-out /% ~%,$(firstword $(PERSONALENS_DATA))),)
override PERSONALENS_DATA := $(CURDIR)/$(PERSONALENS_DATA)
export PERSONALENS_DATA
endif

VENV := .venv
BENCH := .venv-bench
PYTHON := $(VENV)/bin/python
# Named after the folder's path too, so a copied or moved tree does not run another tree's code.
STAMP := $(VENV)/.installed-$(firstword $(shell echo "$(CURDIR)" | cksum))
INSTALL := binder/setup/install.py

.PHONY: help install run test lab copies outputs bench binder-link clean distclean
.DEFAULT_GOAL := help

help:
	@sed -n '3,14s/^# \{0,1\}//p' Makefile

install: $(STAMP)

run: $(STAMP)
	@$(PYTHON) -m personalens run $(if $(DATASET),--dataset $(DATASET))

test: $(STAMP)
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check .
	@OMP_WAIT_POLICY=PASSIVE $(PYTHON) -m pytest --numprocesses $(WORKERS) --dist loadfile \
	  --no-loadscope-reorder -m "$(MARKS)" $(PYTEST_ARGS)

lab: copies
	@$(PYTHON) -m jupyterlab --ServerApp.root_dir=.

# What a learner has written into a copy stays.
copies: $(STAMP)
	@$(PYTHON) -m personalens labs

outputs: $(STAMP)
	@$(PYTHON) -m tests.labs.lab_outputs $(LABS)

# The peers, each group in an environment of its own. RecBole runs on Python 3.11 at the newest: where
# it cannot be installed, its rows are left out.
bench: $(STAMP) $(BENCH)/peers/.installed $(BENCH)/recbole/.installed
	@$(PYTHON) -m benchmarks.everything $(if $(QUICK),--quick) $(if $(LIMIT),--limit $(LIMIT))

$(BENCH)/peers/.installed: benchmarks/requirements.txt | $(STAMP)
	@$(MAKE_ENVIRONMENT)

$(BENCH)/recbole/.installed: benchmarks/requirements-recbole.txt | $(STAMP)
	@{ $(MAKE_ENVIRONMENT); } || { rm -rf $(@D)/bin && touch $@; }

define MAKE_ENVIRONMENT
echo "Installing $< into $(@D) (once; some minutes) ..."; rm -rf $(@D); \
$(PYTHON) -m venv $(@D) && $(PYTHON) $(INSTALL) --python $(@D)/bin/python -r $< && touch $@
endef

# The first of this checkout's remotes decides; without one, give it: REMOTE=https://github.com/...
binder-link:
	@name=$$($(FIND_PYTHON)) && $$name binder/setup/binder_link.py $(REMOTE)

clean:
	rm -rf build dist .personalens .pytest_cache .ruff_cache *.egg-info
	find personalens tests labs -name __pycache__ -o -name .ipynb_checkpoints | xargs rm -rf

distclean: clean
	rm -rf $(VENV) $(BENCH)

IS_NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

# The first Python that is new enough and can make environments.
define FIND_PYTHON
for name in $${PYTHON3:-} python3 python3.14 python3.13 python3.12 python3.11 python; do \
  if $$name -c '$(IS_NEW_ENOUGH)' 2>/dev/null; \
  then echo $$name; exit 0; fi; \
done; \
echo 'PersonaLens needs Python 3.11 or newer with its venv module, and found none on the PATH:' >&2; \
for name in python3 python; do command -v $$name >/dev/null && $$name --version >&2; done; \
echo 'Install one (Debian, Ubuntu: python3 and python3-venv) or name it: make run PYTHON3=/path/to/python3.' >&2; \
exit 1
endef

$(STAMP): requirements.txt pyproject.toml $(INSTALL) $(wildcard binder/setup/jupyter/*)
	@if ! $(PYTHON) -c '$(IS_NEW_ENOUGH)' 2>/dev/null; then \
	  found=$$($(FIND_PYTHON)) || exit 1; \
	  echo "Making $(VENV) with $$($$found --version) ..."; \
	  rm -rf $(VENV) && $$found -m venv $(VENV) || exit 1; \
	fi
	@echo "Installing the pinned packages into $(VENV) (once) ..."
	@$(PYTHON) $(INSTALL)
	@rm -f $(VENV)/.installed-* && touch $@
