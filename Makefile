# make audit [HOSTS=ssh://root@web1,…] [ARGS='--sudo -v']   audit hosts and print the table
# make test                                             run the whole test suite
# make lint                                             ruff and mypy
# make bench                                            figures, as ratios against peers
# make bench-fleet                                      1,000 hosts on loopback, against plain testinfra
# make bench-kubernetes                                 a control-plane node, against plain testinfra
# make bench-store                                      200 images, 2 GB, of Docker and Podman
# make docs                                             docs/controls.md, from the controls
# make lock                                             pin the newest versions again

HOSTS ?= local://
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ALONE := tests/live/test_transport_users.py
empty :=
comma := ,

.PHONY: audit test lint lock bench bench-fleet bench-kubernetes bench-store docs
.DEFAULT_GOAL := audit

audit: $(VENV)/.run
	@$(BIN)/hullcheck audit $(subst $(comma), ,$(HOSTS)) $(ARGS)

test: $(VENV)/.dev
	@tests/prepare
	@$(BIN)/pytest tests/unit -n auto $(ARGS)
	@$(BIN)/pytest $(ALONE) $(ARGS) || [ $$? = 5 ]
	@$(BIN)/pytest tests/live -n 3 --dist loadfile --no-loadscope-reorder --ignore=$(ALONE) $(ARGS)

bench: $(VENV)/.dev
	@tests/prepare
	@$(BIN)/python -m bench.gathering $(ARGS)

bench-fleet: $(VENV)/.dev
	@$(BIN)/python -m bench.fleet $(ARGS)

bench-kubernetes: $(VENV)/.dev
	@tests/prepare
	@$(BIN)/python -m bench.kubernetes $(ARGS)

bench-store: $(VENV)/.dev
	@tests/prepare
	@$(BIN)/python -m bench.store $(ARGS)

docs: $(VENV)/.dev
	@$(BIN)/hullcheck controls --markdown > docs/controls.md

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/.run: requirements.lock pyproject.toml
	@PYTHON='$(PYTHON)' tests/venv requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock pyproject.toml
	@PYTHON='$(PYTHON)' tests/venv requirements-dev.lock
	@touch $@ $(VENV)/.run

lock: $(VENV)/.dev
	$(BIN)/uv pip compile -q --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --universal \
	    --group build -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile -q --upgrade --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --universal \
	    --group build --extra dev -o requirements-dev.lock pyproject.toml
