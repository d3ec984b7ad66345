# `make help` lists the targets. A fresh machine needs Python 3.11 or later, pip and make.
PYTHON ?= python3
BIN := .venv/bin
# The address of a package index with other builds of torch, for example CPU builds: PyTorch's install page names it.
TORCH_INDEX ?=
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: help setup dev quickstart test test-all lint docs bench gpu-bundle clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

setup: .venv/.installed  ## make .venv and install what users need; done once. TORCH_INDEX=URL takes torch from there

# torch comes first and alone, so that no other package draws in another build. On Linux the builds of the default index
# hold CUDA, which takes 5.5 GB of disk.
.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch torchvision
	$(PIP) --editable .
	@touch $@

dev: .venv/.developed  ## install what the tests, lint and docs need as well: every extra but ray

.venv/.developed: .venv/.installed
	$(PIP) --editable ".[dev]"
	@touch $@

quickstart: setup  ## the main job: plain and residual nets of depth 20 and 56 on the digits, as a table and a figure
	$(BIN)/resnet-lab train -m experiment=quickstart
	$(BIN)/resnet-lab report runs/quickstart

test: dev  ## the default tests, under five minutes on 2 cores
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

test-all: dev  ## every test that this machine can run, slow, slurm, ray, browser and gpu as well: half an hour
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "" -rs --durations 20

lint: dev  ## style, types and the arrows between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/biome check --error-on-warnings  # the page's scripts, by biome.json; without a network
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: dev  ## the documentation as a site in site/: strict, and without a network
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "site/index.html; with its search: $(BIN)/python -m http.server -d site"

# benchmarks/gpu.py is for a machine with CUDA, and writes results/gpu.
bench: dev  ## every script of benchmarks/, each beside its peer, into results/benchmarks and docs/performance.md
	@for script in $(filter-out benchmarks/gpu.py,$(wildcard benchmarks/*.py)); do \
		echo "== $$script"; $(BIN)/python $$script --write || exit 1; done
	PYTHONPATH=benchmarks $(BIN)/python -m measuring.page

# For a machine with PyTorch on CUDA, the usual scientific packages and no network: what else there is to install.
GPU_PYTHON ?= 3.12
BUNDLE := build/gpu-bundle
PURE := antlr4-python3-runtime cloudpickle fsspec hydra-core iniconfig lightning lightning-utilities markdown-it-py mdurl \
  omegaconf packaging pluggy pygments pytest pytest-timeout python-dotenv pytorch-lightning pytorch_optimizer rich \
  torchmetrics tqdm typing_extensions
BINARY := pyyaml safetensors simplejpeg
gpu-bundle: dev  ## what a CUDA machine lacks, under 60 MiB, in build/gpu-bundle; CIFAR10=FOLDER takes its images along
	rm -rf $(BUNDLE)
	$(BIN)/python -m pip wheel --quiet --no-deps --constraint constraints.txt --wheel-dir $(BUNDLE)/wheels $(PURE) .
	$(BIN)/python -m pip download --quiet --no-deps --constraint constraints.txt --dest $(BUNDLE)/wheels \
	  --only-binary :all: --python-version $(GPU_PYTHON) $(BINARY)
	$(if $(CIFAR10),tar -cJf $(BUNDLE)/cifar10-jpeg.tar.xz -C $(CIFAR10) train test)
	@ls $(BUNDLE)/wheels; du -sm $(BUNDLE) | awk '{print $$1 " MiB"; exit $$1 >= 60}'

clean:  ## remove the environment and the caches, never a run
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache site
