# Two commands: `make course` runs every lesson, `make test` tests everything. `make help` lists all.
#
#   make course                      every lesson, one seed, the offline `stickers` profile
#   make course SEEDS=3              three seeds; what the first run trained is not trained again
#   make course LESSONS=core         the shortest way from a picture to a verdict: 00 01 05 06 15
#   make course LESSONS="00 05"      some lessons
#   make course PROFILE=smoke        all of it in six minutes, with numbers that mean nothing
#   make course GPUS="0 1"               only these of the GPUs; a training each (default: all)
#   make course JOBS=1                   one thing at a time (default: as many as GPUs, or cores)
#   make course SLURM="slurm_partition=gpu gres=gpu:1"   a SLURM job each (JOBS at once); see README

PROFILE ?= stickers
SEEDS   ?= 1
LESSONS ?= all
COMMA   := ,
GPUS    ?= $(or $(subst $(COMMA), ,$(CUDA_VISIBLE_DEVICES)),$(shell \
             nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null))
JOBS    ?= $(if $(SLURM),32,$(if $(strip $(GPUS)),$(words $(GPUS)),$(shell getconf _NPROCESSORS_ONLN)))
SLURM   ?=
PORT    ?= 8888
PYTHON  ?=
WORKERS ?= 2

SHELL := /bin/bash
BIN   := .venv/bin
READY := .venv/.ready
NOTEBOOKS := $(wildcard notebooks/[0-9]*.ipynb)

# The kernels of the notebooks are this .venv's, whatever other Jupyter there is.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export JUPYTER_PREFER_ENV_PATH := 1
export PYTHONHASHSEED := 0
# These profiles need no network, so an accidental request shall fail at once. Others may download.
ifneq ($(filter smoke stickers,$(PROFILE)),)
export HF_HUB_OFFLINE := 1
endif

.PHONY: course graph test lab doctor site bench lock clean help
.DEFAULT_GOAL := help

help:
	@echo 'make course   run every lesson            -> runs/$(PROFILE)/index.html'
	@echo 'make graph    what make course would run'
	@echo 'make test     lint, unit tests, every notebook replayed'
	@echo 'make lab      open the notebooks in JupyterLab on this machine'
	@echo 'make doctor   is everything in place? OK, WARN or FAIL a line, with the fix'
	@echo 'make site     make runs/$(PROFILE)/index.html again'
	@echo 'make bench    time the library against the usual way of writing it'
	@echo 'make lock     make requirements.lock again from requirements.txt'
	@echo 'make clean    remove .venv, runs and data'

# The environment, made once and again when the lock file changes: by PYTHON if it is given, else by
# the first Python on PATH that is 3.11 or 3.12 and really starts (a pyenv shim may not), else by a
# newer one.
$(READY): requirements.lock
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || { \
	  rm -rf .venv; \
	  suits() { "$$1" -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] $$2)" 2>/dev/null; }; \
	  python="$(PYTHON)"; \
	  for range in '<= (3, 12)' '< (4, 0)'; do \
	    for p in python3 python3.12 python3.11 python3.13 python3.14; do \
	      test -n "$$python" || ! suits $$p "$$range" || python=$$(command -v $$p); done; done; \
	  suits "$${python:-none}" '< (4, 0)' || { \
	    echo "This course needs Python 3.11 or 3.12; $${python:-python3} is" \
	      "$$("$${python:-python3}" --version 2>&1 | head -n 1)."; \
	    echo "Install one (apt install python3.11 python3.11-venv, brew install python@3.12, pyenv)," \
	      "or name one: make course PYTHON=/path/to/python3.12"; exit 1; }; \
	  echo "making .venv with $$python ($$("$$python" --version))"; \
	  "$$python" -m venv .venv || { rm -rf .venv; \
	    echo "$$python cannot make a virtual environment; on Debian and Ubuntu:" \
	      "apt install python3-venv"; exit 1; }; \
	  $(BIN)/python -m pip install --quiet "$$(grep -o '^uv==[^ ]*' requirements.lock)"; }
	@echo 'installing requirements.lock (PyTorch makes it some 6 GB on Linux: minutes, once)'
	@$(BIN)/python -m uv pip sync --quiet --python $(BIN)/python requirements.lock
	@pwd > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/cinv.pth"
	@# at every start ipykernel reminds that its sockets, on this machine alone, are not encrypted
	@mkdir -p .venv/etc/ipython
	@echo 'c.IPKernelApp.log_level = 40' > .venv/etc/ipython/ipython_kernel_config.py
	@touch $@

# --nolock: a killed run must not block the next; two runs at once share the trainings, which are
# locked one by one.
WHERE = $(if $(SLURM),--executor slurm --jobs $(JOBS) --latency-wait 60 --default-resources $(SLURM),\
          --cores $(JOBS))
SNAKEMAKE = snakemake $(WHERE) --scheduler greedy --nolock --rerun-incomplete --keep-going
CONFIG = --config profile=$(PROFILE) seeds=$(SEEDS) lessons="$(LESSONS)" \
           $(if $(SLURM),slurm=1,gpus="$(strip $(GPUS))")

course: $(READY)
	@$(SNAKEMAKE) --quiet host progress rules reason $(CONFIG)
	@echo 'The course: runs/$(PROFILE)/index.html'

graph: $(READY)
	@set -o pipefail; $(SNAKEMAKE) --dry-run --quiet host reason $(CONFIG) | sed '/^\[/d'

# Notebooks are replayed with nothing attempted, whatever this reader has done.
test: export HF_HUB_OFFLINE := 1
test: $(READY)
	ruff check .
	ruff format --check .
	OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist worksteal tests
	$(if $(NOTEBOOKS),CINV_PROGRESS=$$(mktemp -d)/progress.json OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist loadfile \
	  --nbval --nbval-current-env --nbval-sanitize-with=notebooks/sanitize.cfg \
	  --nbval-cell-timeout=300 $(NOTEBOOKS),@echo 'no notebooks yet')

# Root may open JupyterLab too (containers); it listens on this machine only, behind its token.
lab: $(READY)
	@jupyter lab --ip=127.0.0.1 --port=$(PORT) $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

doctor: $(READY)
	@python -m cinv_lib.doctor --port $(PORT)

site: $(READY)
	@python -m cinv_lib.site runs/$(PROFILE)

bench: $(READY)
	@python -m tests.bench

lock: $(READY)
	@python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  requirements.txt -o requirements.lock

clean:
	rm -rf .venv runs data .snakemake .pytest_cache .ruff_cache .hypothesis
