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
GPUS    ?= $(eval GPUS := $$(shell $$(HOST) gpus))$(GPUS)
JOBS    ?= $(eval JOBS := $$(if $$(SLURM),32,$$(shell $$(HOST) jobs $$(call quoted,$$(NAMES)))))$(JOBS)
SLURM   ?=
PORT    ?= 8888
PYTHON  ?=
WORKERS ?= 2

SHELL := /bin/bash
BIN   := .venv/bin
READY := .venv/.ready
COMMA := ,
NAMES  = $(strip $(subst $(COMMA), ,$(GPUS)))

# A text as one word of a shell's: paths and what a reader types may hold anything.
quoted = "$(subst `,\`,$(subst $$,\$$,$(subst ",\",$(subst \,\\,$1))))"
# A variable as it came: make would read a $ in the environment's as its own.
given  = $(if $(filter environment%,$(origin $1)),$(value $1),$($1))
passed = $(if $(filter-out undefined,$(origin $1)),$1=$(call quoted,$(call given,$1)))

# cinv_lib/machine/host.py decides what depends on the machine. It runs under any Python that starts, as there
# is no .venv yet the first time; a pyenv shim, or the first Python on PATH, may not start.
STARTS := $(shell for p in $(BIN)/python $(call quoted,$(PYTHON)) python3 python3.12 python3.11 \
            python3.13 python3.14 /usr/bin/python3 python; do \
            "$$p" -I -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1 && \
            { printf %s "$$p"; break; }; done)
HOST = $(call passed,CUDA_VISIBLE_DEVICES) $(call passed,CINV_RUNS) \
         $(call quoted,$(or $(STARTS),python3)) -I cinv_lib/machine/host.py
PREPARED = eval "$$($(HOST) environment)";
RUN = $(shell $(HOST) run $(call quoted,$(PROFILE)))

NOTEBOOKS := $(wildcard notebooks/[0-9]*.ipynb)

# The kernels of the notebooks are this .venv's, whatever other Jupyter there is.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export JUPYTER_PREFER_ENV_PATH := 1
export PYTHONHASHSEED := 0
# A reader's settings for another Python, or for all of them, are none for this one: they hide its
# library, or stop it, or have it compile everything at every start.
unexport PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONSAFEPATH PYTHONOPTIMIZE PYTHONINSPECT \
  PYTHONWARNINGS PYTHONDONTWRITEBYTECODE SNAKEMAKE_PROFILE
# These profiles need no network, so an accidental request shall fail at once. Others may download.
ifneq ($(filter smoke stickers,$(PROFILE)),)
export HF_HUB_OFFLINE := 1
endif

.PHONY: course graph test lab doctor site bench lock clean help
.DEFAULT_GOAL := help

help:
	@echo 'make course   run every lesson            -> '$(call quoted,$(RUN)/index.html)
	@echo 'make graph    what make course would run'
	@echo 'make test     lint, types, unit tests, every notebook replayed'
	@echo 'make lab      open the notebooks in JupyterLab on this machine'
	@echo 'make doctor   is everything in place? OK, WARN or FAIL a line, with the fix'
	@echo 'make site     make '$(call quoted,$(RUN)/index.html)' again'
	@echo 'make bench    time the library against the usual way of writing it'
	@echo 'make lock     make requirements.lock again from requirements.txt'
	@echo 'make clean    remove .venv, .cache, runs and data'

# The environment, made once and again when the lock file changes, by a Python that suits. Compiled
# once, here, its libraries need no compilation at the start of every process.
$(READY): requirements.lock
	@$(if $(STARTS),,echo 'This course needs Python 3.11 or 3.12, and no Python on PATH starts.'; exit 1)
	@$(PREPARED) $(BIN)/python -m uv --version >/dev/null 2>&1 || { \
	  python=$$($(HOST) python $(call quoted,$(PYTHON))) || exit 1; \
	  rm -rf .venv; \
	  echo "making .venv with $$python ($$("$$python" --version))"; \
	  "$$python" -m venv .venv || { rm -rf .venv; \
	    echo "$$python cannot make a virtual environment; on Debian and Ubuntu:" \
	      "apt install python3-venv"; exit 1; }; \
	  $(BIN)/python -m pip install --quiet --no-user --target= --root=/ \
	    --prefix=$(call quoted,$(CURDIR)/.venv) "$$(grep -o '^uv==[^ ]*' requirements.lock)"; }
	@echo 'installing requirements.lock (PyTorch makes it some 6 GB on Linux: minutes, once)'
	@$(PREPARED) $(BIN)/python -m uv pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.lock
	@pwd > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/cinv.pth"
	@# at every start ipykernel reminds that its sockets, on this machine alone, are not encrypted
	@mkdir -p .venv/etc/ipython
	@echo 'c.IPKernelApp.log_level = 40' > .venv/etc/ipython/ipython_kernel_config.py
	@touch $@

# --nolock: a killed run must not block the next; two runs at once share the trainings, which are
# locked one by one.
WHERE = $(if $(SLURM),--executor slurm --jobs $(JOBS) --latency-wait 60 --default-resources $(SLURM),\
          --cores $(JOBS))
SNAKEMAKE = python -m snakemake $(WHERE) --scheduler greedy --nolock --rerun-incomplete --keep-going
CONFIG = --config profile=$(call quoted,$(PROFILE)) seeds=$(call quoted,$(SEEDS)) \
           lessons=$(call quoted,$(LESSONS)) $(if $(SLURM),slurm=1,gpus=$(call quoted,$(NAMES)))
CHECK = $(HOST) check $(foreach name,$1,$(name)=$(call quoted,$(strip $($(name)))))

course: $(READY)
	@$(call CHECK,SEEDS JOBS)
	@$(PREPARED) $(SNAKEMAKE) --quiet host progress rules reason $(CONFIG)
	@echo 'The course: '$(call quoted,$(RUN)/index.html)

graph: $(READY)
	@$(call CHECK,SEEDS JOBS)
	@$(PREPARED) set -o pipefail; $(SNAKEMAKE) --dry-run --quiet host reason $(CONFIG) | sed '/^\[/d'

# Notebooks are replayed with nothing attempted, whatever this reader has done. `make test NOTEBOOKS=`
# leaves them out.
test: export HF_HUB_OFFLINE := 1
test: $(READY)
	ruff check .
	ruff format --check .
	python -m mypy
	$(PREPARED) OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist worksteal tests
	$(if $(NOTEBOOKS),$(PREPARED) CINV_PROGRESS=$$(mktemp -d)/progress.json OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist loadfile \
	  --nbval --nbval-current-env --nbval-sanitize-with=notebooks/sanitize.cfg \
	  --nbval-cell-timeout=300 $(NOTEBOOKS),@echo 'no notebook is replayed')

# Root may open JupyterLab too (containers); it listens on this machine only, behind its token.
lab: $(READY)
	@$(call CHECK,PORT)
	@$(PREPARED) python -m jupyterlab --ip=127.0.0.1 --port=$(PORT) $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

doctor: $(READY)
	@$(call CHECK,PORT)
	@$(PREPARED) python -m cinv_lib.course.doctor --port $(PORT)

site: $(READY)
	@python -m cinv_lib.course.site $(call quoted,$(RUN))

bench: $(READY)
	@python -m tests.bench

lock: $(READY)
	@python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  requirements.txt -o requirements.lock

clean:
	rm -rf .venv .cache runs data .snakemake .pytest_cache .ruff_cache .hypothesis
