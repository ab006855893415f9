# Everything is done from here. `make` alone prints the targets; each first sets up what it needs.
# ARGS goes to the tool behind a target: make study ARGS=--dry-run, make test ARGS="-m 'not slow'".

PYTHON  ?= python3
PROFILE ?= digits
ON      ?= local
WORKERS ?= 2

VENV  := .venv
READY := $(VENV)/.ready
UV    := .tools/bin/uv
EXTRA := metadata.papermill cell.metadata.papermill metadata.widgets

# Jobs that Snakemake starts find papermill this way, too. Make 3.81 (macOS) heeds the new PATH
# only where SHELL is set as well.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
SHELL := bash
# Seconds without a byte until uv gives up; its own 30 are short for PyTorch on a slow line.
UV_HTTP_TIMEOUT ?= 300
export UV_HTTP_TIMEOUT

.DEFAULT_GOAL := help
.PHONY: help study plan merge site test test-browser test-slurm test-kubernetes tune bench faults lab \
    exercises lint pins clean distclean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' Makefile

# --- set-up: one stamp, made again when the pins or the package change ---

# uv goes to a folder of its own, because a system Python refuses `pip install` into itself.
# --seed leaves pip in place for %pip in a notebook. The last step needs no build isolation, hence
# no network, because requirements.txt pins setuptools.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	    || { echo "Spotter needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is" \
	              "$$($(PYTHON) --version 2>/dev/null || echo 'not there')." \
	              "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; } >&2
	@echo "Setting up $(VENV) (the first time some minutes and 6 GB, most of it PyTorch) ..."
	@[ -x $(UV) ] \
	    || $(PYTHON) -m pip install -qq --target .tools 'uv>=0.8' \
	    || { echo "$(PYTHON) cannot install uv: is its pip there (python3-pip)? Is the network?"; \
	         exit 1; } >&2
	@$(UV) venv -q --allow-existing --seed --python $(PYTHON) $(VENV)
	@$(UV) pip sync -q --python $(VENV)/bin/python requirements.txt
	@$(UV) pip install -q --python $(VENV)/bin/python --no-deps --no-build-isolation -e .
	@touch $@

# What hands jobs to a scheduler lies in a folder of its own: Snakemake loads all such plugins that
# it finds whenever it starts, and the one for Kubernetes takes seconds, in every job of every study.
.tools/%/.ready: requirements-%.txt $(READY)
	@$(UV) pip install -q --python $(VENV)/bin/python --no-deps --target .tools/$* -r $<
	@touch $@
PLACES := local slurm kubernetes
ifeq ($(filter $(ON),$(PLACES)),)
$(error ON=$(ON) is no place to run a study on; known: $(PLACES). See profiles/CLUSTER.md)
endif
ifneq ($(ON),local)
ELSEWHERE := .tools/$(ON)/.ready
export PYTHONPATH := $(CURDIR)/.tools/$(ON)$(if $(PYTHONPATH),:$(PYTHONPATH))
endif

# --- work ---

# Two runs in one checkout would write the same files. Snakemake's own lock outlives a killed run
# and must then be removed by hand; this one the system frees, and unlike flock(1) macOS has it.
define LOCKED
import fcntl, os, sys
lock = os.open(".runlock", os.O_RDWR | os.O_CREAT)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit("Another `make study` is running in this folder: wait for its end, or stop it.")
os.set_inheritable(lock, True)
os.execvp(sys.argv[1], sys.argv[1:])
endef
export LOCKED

# `runs` may lie elsewhere, on a disk that all nodes share: make study RUNS=/shared/me/runs
RUNS ?= runs
study: $(READY) $(ELSEWHERE) ## run the whole study: PROFILE=digits or another; ON=local or slurm
	@[ $(ON) != kubernetes ] \
	    || { echo "On Kubernetes a study is started in a pod, by snakemake: see profiles/CLUSTER.md"; \
	         exit 1; } >&2
	@python -c "$$LOCKED" snakemake --nolock --workflow-profile profiles/$(ON) \
	    --config profile=$(PROFILE) runs=$(RUNS) $(ARGS)

# Nothing that contradicts what is there is taken: conflicts are listed, and the exit status is 1.
merge: $(READY) ## join runs of several machines into RUNS/PROFILE; FROM="a/runs/digits b/runs/digits"
	@python -c "$$LOCKED" python -m spotter_core.merging $(FROM) --into $(RUNS)/$(PROFILE) $(ARGS)

# Starts nothing; ARGS="--tflops 60 --workers 16" asks again, --help lists the rest.
plan: $(READY) ## tell how many jobs a study has, what they cost and when they end; starts nothing
	@python -m spotter_core.planning $(PROFILE) --on $(ON) --run $(RUNS)/$(PROFILE) $(ARGS)

# Only from what was executed: it tells which notebooks lack outputs (ARGS=--partial goes on).
site: $(READY) ## render the executed notebooks, README and figures as a website in site/
	@python -m spotter_core.website $(PROFILE) --out site $(ARGS)

# One call, so that one last line tells about everything. The notebooks come first because they take
# longest; a worker keeps to one thread, or two of them would fight for two cores. nbmake limits a
# notebook by the cell; the 300 s a test of pyproject.toml would cut a long one short, hence 900.
# The exercises are left to tests/test_exercises_run.py, which needs no kernel for each of them.
test: $(READY) ## run the unit tests, the examples in docstrings and all notebooks
	OMP_NUM_THREADS=1 pytest -n $(WORKERS) --dist worksteal --timeout 900 \
	    --nbmake --nbmake-kernel=python3 --nbmake-timeout=600 \
	    --ignore=notebooks/exercises notebooks spotter_core tests $(ARGS)

# Chromium is a package of the system's. What the test sees and measures is left in runs/browser/.
test-browser: $(READY) ## run the notebooks in JupyterLab in a real browser; needs chromium
	pytest -m browser tests/test_browser.py $(ARGS)

# A cluster of two nodes on this machine, for as long as the test takes; needs root, slurm-wlm, munge.
test-slurm: $(READY) .tools/slurm/.ready ## run the study through SLURM on this machine, and compare
	@python tests/slurm_cluster.py --check
	PYTHONPATH=$(CURDIR)/.tools/slurm pytest -m slurm --timeout 5400 tests/test_slurm.py $(ARGS)

test-kubernetes: $(READY) .tools/kubernetes/.ready ## check what a Kubernetes cluster would be given
	PYTHONPATH=$(CURDIR)/.tools/kubernetes pytest -m kubernetes --timeout 900 tests/test_kubernetes.py $(ARGS)

tune: $(READY) ## choose the settings of a profile's methods anew, on validation images
	@python -m spotter_core.tuning $(PROFILE)

bench: $(READY) ## measure how long the parts take
	python tests/bench.py $(ARGS)

faults: $(READY) ## measure what a kill, a full disk and other faults cost; into runs/faults/
	python tests/faults.py $(ARGS)

lab: $(READY) ## open JupyterLab on this machine only, with a token
	jupyter lab --ip=127.0.0.1 --LabApp.default_url=/lab/tree/notebooks/00_tour.ipynb $(ARGS)

exercises: $(READY) ## make the students' and the teacher's exercises of notebooks/exercises/source/
	@python -m spotter_core.exercises.versions

# --keep-id: without it nbstripout renumbers the cells, and a clean notebook counts as dirty.
lint: $(READY) ## check style, formatting, types, and that notebooks hold no outputs
	ruff check
	ruff format --check
	mypy --strict spotter_core
	nbstripout --verify --keep-id --extra-keys "$(EXTRA)" \
	    notebooks/*.ipynb notebooks/exercises/*.ipynb notebooks/exercises/*/*.ipynb

# Pins that still fit stay as they are: ARGS=--upgrade moves them all. No file of ours names the
# host of a package registry, which rules out uv.lock and every --emit option.
pins: $(READY) ## compile requirements.txt anew from pyproject.toml
	$(UV) pip compile -q --universal --extra test --no-annotate --no-header $(ARGS) \
	    pyproject.toml -o requirements.txt
	for on in slurm kubernetes; do \
	    $(UV) pip compile -q --universal --extra test --extra $$on --no-annotate --no-header \
	        -c requirements.txt pyproject.toml | grep -vxFf requirements.txt \
	        > requirements-$$on.txt || exit 1; \
	done

clean: ## remove runs/ (all results that are not in figures/), site/ and caches; not during a run
	@$(PYTHON) -c "$$LOCKED" rm -rf runs site .runlock .snakemake .mypy_cache .pytest_cache .ruff_cache \
	    .hypothesis */__pycache__ */*/__pycache__ */.ipynb_checkpoints

distclean: clean ## remove the environment, too
	rm -rf $(VENV) .tools spotter_core.egg-info
