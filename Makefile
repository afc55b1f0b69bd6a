# make demo      profile the embedded tiny model on its problems, audit, filter, and say what was kept and why
# make test      everything that needs no GPU and no network
# make check     format, lint, types and the house rules
# make test-vllm the tests that need the real vLLM engine, in an environment of their own (CPU build)
# make bench     measurements, printed as tables with ratios

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VLLM := .venv-vllm
# The CPU build of torch, where pip's indices have it; set TORCH_INDEX to an index of CPU builds where they have not.
TORCH ?= 2.13.0
TORCH_INDEX ?=
TORCH_FROM := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))

export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: demo test check test-vllm bench clean

demo: $(VENV)/.installed
	$(BIN)/curate profile recipes/demo.yaml >/dev/null   # the same summary follows
	$(BIN)/curate audit profiles/demo >/dev/null
	$(BIN)/curate filter profiles/demo --to out/demo
	@echo "look closer: $(BIN)/curate show profiles/demo"

test: $(VENV)/.developing
	$(BIN)/python -m pytest

check: $(VENV)/.developing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/house

test-vllm: $(VLLM)/.installed
	$(VLLM)/bin/python -m pytest -m vllm

bench: $(VENV)/.developing
	for bench in tests/benchmarks/*.py; do $(BIN)/python $$bench || exit 1; done

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "curate needs Python 3.11 or newer: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "python3 cannot make environments here; on Debian: apt-get install python3-venv"; exit 1; }

# A CPU build is asked for by its own version first: a bare torch brings gigabytes of CUDA on Linux.
$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -c 'import torch' 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet $(TORCH_FROM) "torch==$(TORCH)+cpu" \
	  || $(BIN)/python -m pip install --quiet $(TORCH_FROM) "torch==$(TORCH)"
	$(BIN)/python -m pip install --quiet -e '.[transformers]'
	touch $@

# Trainers come without their dependencies: only what reads data and what rewards is called, and one step of TRL.
$(VENV)/.developing: $(VENV)/.installed tests/requirements-trainers.txt
	$(BIN)/python -m pip install --quiet -e '.[transformers,openai,dev]'
	$(BIN)/python -m pip install --quiet --no-deps -r tests/requirements-trainers.txt
	touch $@

$(VLLM)/.installed: tests/requirements-vllm.txt pyproject.toml
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet -r tests/requirements-vllm.txt
	$(VLLM)/bin/python -m pip uninstall --quiet -y torchvision torchaudio torchcodec
	$(VLLM)/bin/python -m pip install --quiet --no-deps -e .
	touch $@

clean:
	rm -rf $(VENV) $(VLLM) out build dist .mypy_cache .ruff_cache .pytest_cache
