# Two commands: `make course` runs every lesson, `make test` tests everything. `make help` lists all.
#   make course                      every lesson, one seed, the offline `stickers` profile
#   make course SEEDS=3              three seeds; what the first run trained is not trained again
#   make course LESSONS=core         the shortest way from a picture to a verdict: 00 01 05 06 15
#   make course PROFILE=smoke        all of it in six minutes, with numbers that mean nothing
#   make course TABLES=all           with all rows of Tables 1, 4, 9 and 13, not three operators alone

PROFILE ?= stickers
SEEDS   ?= 1
LESSONS ?= all
TABLES  ?= some
GPUS    ?= $(eval GPUS := $$(shell $$(ASK) gpus))$(GPUS)
JOBS    ?= $(eval JOBS := $$(if $$(SLURM),32,$$(shell $$(ASK) jobs $$(call quoted,$$(NAMES)))))$(JOBS)
SLURM   ?=
REAL    ?=
MPS     ?=
PORT    ?= 8888
PYTHON  ?=
TORCH   ?= $(shell sed -n 's/^torch=//p' .venv/.ready 2>/dev/null)
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

# cinv_lib/machine/shell.py decides what depends on the machine. It runs under any Python that starts,
# as there is no .venv yet the first time; a pyenv shim, or the first Python on PATH, may not start.
STARTS := $(shell for p in $(BIN)/python $(call quoted,$(PYTHON)) python3 python3.12 python3.11 \
            python3.13 python3.14 /usr/bin/python3 python; do \
            "$$p" -I -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1 && \
            { printf %s "$$p"; break; }; done)
ASK = $(call passed,CUDA_VISIBLE_DEVICES) $(call passed,CINV_RUNS) \
        $(call quoted,$(or $(STARTS),python3)) -I cinv_lib/machine/shell.py
PREPARED = eval "$$($(ASK) environment)";
RUN = $(shell $(ASK) run $(call quoted,$(PROFILE)))

NOTEBOOKS := $(wildcard notebooks/[0-9]*.ipynb)

# The kernels of the notebooks are this .venv's, whatever other Jupyter there is.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export JUPYTER_PREFER_ENV_PATH := 1
export PYTHONHASHSEED := 0
# A reader's settings for another Python, or for all of them, are none for this one: they hide its
# library, or stop it, or have it compile everything at every start.
unexport JUPYTER_PATH PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONSAFEPATH PYTHONOPTIMIZE PYTHONINSPECT \
  PYTHONWARNINGS PYTHONDONTWRITEBYTECODE SNAKEMAKE_PROFILE
# These profiles need no network, so an accidental request shall fail at once. Others may download.
ifneq ($(filter smoke stickers,$(PROFILE)),)
export HF_HUB_OFFLINE := 1
endif

.PHONY: install course graph own rehearse test lab kernel doctor site bench lock clean help again
.DEFAULT_GOAL := help

help:
	@echo 'make install  make .venv, as all others but doctor do where it is missing'
	@echo 'make course   run every lesson            -> '$(call quoted,$(RUN)/site/index.html)
	@echo 'make graph    what make course would run'
	@echo 'make rehearse all of a paper profile with little of everything, before it costs anything'
	@echo 'make own      a run of your own pictures, operator and teacher: NAME= PICTURES= OPERATOR='
	@echo 'make test     lint, types, unit tests, every notebook replayed'
	@echo 'make lab      open the notebooks in JupyterLab on this machine'
	@echo 'make kernel   tell VS Code and other Jupyters of this kernel: "Contrastive inversion"'
	@echo 'make doctor   is everything in place? OK, WARN or FAIL a line, with the fix'
	@echo 'make site     make '$(call quoted,$(RUN)/site/index.html)' again'
	@echo 'make bench    time the library against the usual way of writing it'
	@echo 'make lock     make requirements.lock again from requirements.txt'
	@echo 'make clean    remove .venv, .cache, runs and data'

# The environment, made once, and again when the lock file, the folder that it is in or TORCH changed.
install: $(READY)
$(READY): requirements.lock $(shell { pwd -P; echo torch=$(call quoted,$(TORCH)); } | cmp -s - $(READY) || echo again)
	@$(if $(STARTS),,echo 'This course needs Python 3.11 or 3.12, and no Python on PATH starts.'; exit 1)
	@$(PREPARED) $(ASK) install $(call quoted,$(PYTHON)) $(call quoted,$(TORCH))

# --nolock: a killed run must not block the next. The Snakefile has a lock that ends with its process.
WHERE = $(if $(SLURM),--executor slurm --jobs $(JOBS) --latency-wait 60 --default-resources $(SLURM),\
          --cores $(JOBS))
SNAKEMAKE = python -m snakemake $(WHERE) --scheduler greedy --nolock --rerun-incomplete --keep-going
CONFIG = --config profile=$(call quoted,$(PROFILE)) seeds=$(call quoted,$(SEEDS)) tables=$(call quoted,$(TABLES)) \
           lessons=$(call quoted,$(LESSONS)) $(if $(SLURM),slurm=1,gpus=$(call quoted,$(NAMES)))
CHECK = $(ASK) check $(foreach name,$1,$(name)=$(call quoted,$(strip $($(name)))))

course: $(READY)
	@$(call CHECK,SEEDS JOBS)
	@$(PREPARED) $(if $(filter smoke stickers,$(PROFILE))$(CINV_REHEARSAL),,python -m cinv_lib.course.guards $(CONFIG) &&) \
	  { set -o pipefail; $(SNAKEMAKE) --quiet host rules reason $(CONFIG) 2>&1 | \
	  python -m cinv_lib.course.monitor $(call quoted,$(RUN)); }
	@echo 'The course: '$(call quoted,$(RUN)/site/index.html)

graph: $(READY)
	@$(call CHECK,SEEDS JOBS)
	@$(PREPARED) set -o pipefail; $(SNAKEMAKE) --dry-run --quiet host reason $(CONFIG) | sed '/^\[/d'

rehearse: $(READY)
	@$(PREPARED) python -m cinv_lib.course.rehearsal $(call quoted,$(PROFILE)) --lessons $(call quoted,$(LESSONS)) --seeds $(SEEDS) --real=$(REAL)

# Its words are kept in a file, once: blanks, bars and hub names do not survive three quotings.
OWN = NAME PICTURES OPERATOR CODE TEACHER LOSS EPOCHS BATCH LR CROP DRAWS LOOKS
own: $(READY)
	@$(PREPARED) python -m cinv_lib.lab.own $(foreach name,$(OWN),$(if $(filter command%,$(origin $(name))),$(call passed,$(name))))
	@$(MAKE) --no-print-directory course PROFILE=own/$(call quoted,$(NAME))

# Three workers on two cores, as tests of browsers, kernels and locks wait for much of their time.
# Notebooks are replayed with nothing attempted. `make test NOTEBOOKS=` leaves them out.
test: export HF_HUB_OFFLINE := 1
test: $(READY)
	python -m ruff check .
	python -m ruff format --check .
	$(PREPARED) OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist worksteal tests
	$(if $(NOTEBOOKS),$(PREPARED) CINV_PROGRESS=$$(mktemp -d)/progress.json OMP_NUM_THREADS=1 \
	  python -m pytest -n $(WORKERS) --dist loadfile \
	  -p tests.warm --nbval --nbval-current-env --nbval-sanitize-with=notebooks/sanitize.cfg \
	  --nbval-cell-timeout=300 $(NOTEBOOKS),@echo 'no notebook is replayed')

# Root may open JupyterLab too (containers); it listens on this machine only, behind its token. A browser
# that is a snap, or Windows', cannot open a file in a hidden folder: the address itself is opened.
lab: $(READY)
	@$(call CHECK,PORT)
	@$(PREPARED) python -m jupyterlab --ip=127.0.0.1 --port=$(PORT) --ServerApp.use_redirect_file=False \
	  --LanguageServerManager.autodetect=False $(if $(filter 0,$(shell id -u)),--allow-root) notebooks

kernel: $(READY)
	@$(PREPARED) python -m ipykernel install --user --name cinv --display-name 'Contrastive inversion' \
	  --env PYTHONPATH '' --env PYTHONHOME ''

doctor:
	@$(call CHECK,PORT)
	@$(if $(STARTS),,echo 'FAIL Python: no Python on PATH starts; fix: install 3.12'; exit 1)
	@$(PREPARED) $(ASK) doctor $(PORT) $(call quoted,$(PYTHON)) $(CONFIG)

site: $(READY)
	@$(PREPARED) python -m cinv_lib.course.site $(call quoted,$(RUN))

bench: $(READY)
	@python -m tests.bench

lock: $(READY)
	@python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  requirements.txt -o requirements.lock

clean:
	rm -rf .venv .cache runs data .snakemake .pytest_cache .ruff_cache .hypothesis
