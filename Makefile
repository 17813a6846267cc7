# Needs only make and Python 3.11 or newer. Everything is installed into .venv, nothing beside it.
#
#   make run    the main job: labs 00 to 05 on real data    DATASET=ml-latest-small|ml-100k|sample
#   make test   everything a contributor must pass           PYTEST_ARGS="tests/recipes -x" WORKERS=2
#               but for what needs a browser                 MARKS= (that, too)
#   make lab    JupyterLab, opened on the first lab
#   make outputs execute the labs and write back their outputs   LABS="04 05"
#   make bench  ours and the peers measured (hours)          QUICK=1 LIMIT=seconds a slow peer has
#   make clean  remove what runs and tests leave behind      (make distclean: .venv as well)
#
# PERSONALENS_DATA=folder reads MovieLens files or zips that are already there.
# TORCH_BACKEND=cpu installs PyTorch's CPU build (on Linux pip's own choice brings CUDA, 2 GB more).

DATASET ?=
LABS ?=
QUICK ?=
LIMIT ?=
TORCH_BACKEND ?=
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
TORCH := $(shell sed -n 1p requirements.txt)
UV := uv==0.13.9

.PHONY: help run test lab outputs bench clean distclean
.DEFAULT_GOAL := help

help:
	@sed -n '3,12s/^# \{0,1\}//p' Makefile

run: $(STAMP)
	@$(PYTHON) -m personalens run $(if $(DATASET),--dataset $(DATASET))

test: $(STAMP)
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check .
	@OMP_WAIT_POLICY=PASSIVE $(PYTHON) -m pytest --numprocesses $(WORKERS) --dist loadfile \
	  --no-loadscope-reorder -m "$(MARKS)" $(PYTEST_ARGS)

lab: $(STAMP)
	@$(PYTHON) -m jupyterlab --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/labs/00_start_here.ipynb

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
$(PYTHON) -m venv $(@D) \
$(if $(TORCH_BACKEND),&& $(PYTHON) -m pip install --quiet $(UV) && $(VENV)/bin/uv pip install \
  --quiet --python $(@D)/bin/python --torch-backend=$(TORCH_BACKEND) $(TORCH)) \
&& $(@D)/bin/python -m pip install --disable-pip-version-check --quiet -r $< && touch $@
endef

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

$(STAMP): requirements.txt pyproject.toml
	@if ! $(PYTHON) -c '$(IS_NEW_ENOUGH)' 2>/dev/null; then \
	  found=$$($(FIND_PYTHON)) || exit 1; \
	  echo "Making $(VENV) with $$($$found --version) ..."; \
	  rm -rf $(VENV) && $$found -m venv $(VENV) || exit 1; \
	fi
ifneq ($(TORCH_BACKEND),)
	@echo "Installing PyTorch ($(TORCH_BACKEND)) ..."
	@$(PYTHON) -m pip install --quiet $(UV)
	@$(VENV)/bin/uv pip install --quiet --python $(PYTHON) --torch-backend=$(TORCH_BACKEND) $(TORCH)
endif
	@echo "Installing the pinned packages into $(VENV) (once; some minutes) ..."
	@{ $(PYTHON) -m pip install --disable-pip-version-check --progress-bar off -r requirements.txt; \
	   echo $$? >$(VENV)/pip-status; } | { count=0; \
	   total=$$(grep -c == requirements.txt); \
	   while read -r first second rest; do case "$$first $$second" in \
	     Collecting*|Processing*|"Requirement already") count=$$((count + 1)); \
	       printf '\r%-70.70s' "  $$count of $$total: $${second##*/}" ;; \
	     "Installing collected") printf '\r%-70s' "  unpacking $$total packages" ;; \
	   esac; done; printf '\r%-70s\n' "  done"; }
	@test "$$(cat $(VENV)/pip-status)" = 0
	@rm -f $(VENV)/.installed-* && touch $@
