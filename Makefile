# make run | photos | test | lint | docs | clean | mlflow-ui | tracking-server | gpu-check | viz | repro. The environment is made on first use, in .venv; runs and
# tests install what they need and no more. Variables: PYTHON (3.11 or newer), EXTRAS (of pyproject.toml, beside `run`; for every target), VENV, ENV (a folder of conf/), PARAMS (of kedro run),
# FOLDER and PORT (of the tracking server), TEST_PROCESSES, PHOTOS (docs/how_to/run_on_photographs.md).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
  $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
EXTRAS ?=
VENV ?= .venv
ENV ?= local
PARAMS ?=
PHOTOS ?= $(wildcard ../shared/data)
FOLDER ?= .tracking
PORT ?= 5000
TEST_PROCESSES ?= $(shell cores=$$(env -u OMP_NUM_THREADS nproc 2>/dev/null || echo 2); echo $$((cores < 4 ? cores : 4)))
COMMA := ,
RUN_EXTRAS := run$(COMMA)$(if $(EXTRAS),$(EXTRAS),onnx$(COMMA)openvino)
TEST_EXTRAS := run$(COMMA)$(if $(EXTRAS),$(EXTRAS),dev$(COMMA)docs$(COMMA)onnx$(COMMA)openvino$(COMMA)demo$(COMMA)omdet)
BIN := $(abspath $(VENV))/bin
STAMP := $(VENV)/.installed
TEST_STAMP := $(VENV)/.installed-for-tests

export PATH := $(BIN):$(PATH)
export DO_NOT_TRACK := true
export DVC_NO_ANALYTICS := 1
# OpenMP threads that wait give their core back soon: 5 % slower alone (docs/performance.md), far less slowed beside other programs.
export GOMP_SPINCOUNT ?= 10000

.PHONY: help environment run photos repro test lint format docs clean mlflow-ui tracking-server gpu-check viz

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

environment: $(TEST_STAMP) ## make .venv with the pinned versions of everything

define install
	@test -x $(BIN)/python || { chosen="$(PYTHON)"; \
	  test -n "$$chosen" || { echo "Python 3.11 or newer is needed and none was found. Set PYTHON=/path/to/python."; exit 1; }; \
	  "$$chosen" -m venv $(VENV); }
	@echo "Installing crqat-pipeline[$(1)] into $(VENV) (some minutes the first time)"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(1)]'
	@touch $@
endef

$(STAMP): pyproject.toml constraints.txt
	$(call install,$(RUN_EXTRAS))

$(TEST_STAMP): pyproject.toml constraints.txt
	$(call install,$(TEST_EXTRAS))
	@touch $(STAMP)

run: $(STAMP) ## everything: data, teacher, baselines, CR-QAT, int4 file, evaluation
	@kedro run --pipelines=crqat_full --env=$(ENV) $(if $(PARAMS),--params=$(PARAMS))
	@echo "Curves and runs: make mlflow-ui. On photographs, with published weights: make photos (docs/how_to/run_on_photographs.md)"

photos: $(STAMP) ## the same on photographs, with published weights, fetched unless PHOTOS names a folder with them
	@python -m pip install --quiet --no-deps ./examples/nanodet
	@kedro run --pipelines=crqat_full --env=photos $(if $(PHOTOS)$(PARAMS),--params=$(if $(PHOTOS),photos=$(PHOTOS))$(if $(PHOTOS),$(if $(PARAMS),$(COMMA)))$(PARAMS))

repro: $(STAMP) ## the same stages through DVC: only what has changed
	@dvc repro

test: lint ## the checks, then all tests, a file of them per process
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} python -m pytest -n $(TEST_PROCESSES) --dist loadfile

lint: $(TEST_STAMP) ## ruff, mypy, import contracts
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports --no-logo

format: $(TEST_STAMP) ## rewrite the sources in the project's format
	@ruff check --fix .
	@ruff format .

docs: $(TEST_STAMP) ## the documentation site, into site/; warnings are errors
	@NO_MKDOCS_2_WARNING=1 mkdocs build

clean: ## remove caches and builds; data, runs and the environment stay
	@rm -rf build dist site src/*.egg-info examples/*/build examples/*/src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache .viz
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

mlflow-ui: $(STAMP) ## compare runs in the browser (http://127.0.0.1:5000)
	@crqat runs --server http://127.0.0.1:5000
	@mlflow ui --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}"

gpu-check: $(STAMP) ## every kernel, step and job on a GPU: one table, gpu_check.json (docs/how_to/check_a_gpu.md)
	@python benchmarks/gpu/check.py

tracking-server: $(STAMP) ## MLflow with PostgreSQL on this machine (docs/how_to/share_runs.md)
	@python -c 'import psycopg2' 2>/dev/null || python -m pip install --quiet --constraint constraints.txt --editable '.[server]'
	@python examples/tracking_server/serve.py "$(FOLDER)" --port $(PORT)

viz: $(STAMP) ## draw the pipelines in the browser
	@python -c 'import kedro_viz' 2>/dev/null || python -m pip install --quiet --constraint constraints.txt --editable '.[viz]'
	@kedro viz run
