# Everything a person or CI does here. `make` alone explains.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DEMO   := $(VENV)/.demo-installed
STUDY  ?=
# Many tests wait for a server or a process: half as many again as there are cores.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) \* 3 / 2)
SECONDS ?=
# Their tests show with many cases, or with whole programs, what others show one by one: being measured too, they
# would cost twice as much and tell nothing new.
UNMEASURED := $(addprefix tests/,deploy dicom/test_foreign.py demo/models/test_models.py examples/test_document.py \
  examples/test_first_minute.py faults intake/test_uvicorn_inside.py interop moving multipart/test_oracle.py \
  odd_inputs study/test_volume.py)

.DEFAULT_GOAL := help
.PHONY: help install demo test test-quick test-ray test-api helm test-deploy manifests image image-test check format dist docs
.PHONY: bench bench-quick fuzz soak clean

help:  ## Explain the commands (this)
	@echo "inference-gateway: put a medical-imaging model behind HTTP."
	@echo
	@echo "  make COMMAND [NAME=value]"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Each command first installs what it needs into $(VENV); nothing outside this folder is changed."
	@echo "  New here?         make demo                         a sample study, from the client to the masks"
	@echo "  Your own images:  make demo STUDY=path/to/folder    with DICOM files in it"
	@echo "  Another Python:   make install PYTHON=python3.13    3.11 to 3.15 will do"
	@echo "  One benchmark:    make bench BENCH='--only parts,one --servers ours,floor'"
	@echo "  Your own model:   $(BIN)/inference-gateway serve my_model:model"

# $(1) is the extra, $(2) an option of pip. Debian's python3 has no ensurepip without python3-venv: its own pip can
# fill the environment as well.
define install_extra
@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 16))' || \
  { echo "Python 3.11 to 3.15 is needed, and $(PYTHON) is not one: try make install PYTHON=python3.12" >&2; exit 1; }
@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m venv --clear --without-pip $(VENV)
@if $(BIN)/python -m pip --version >/dev/null 2>&1; \
  then pip="$(BIN)/python -m pip"; else pip="$(PYTHON) -m pip --python $(BIN)/python"; fi; \
  echo "Installing into $(VENV) ..."; \
  $$pip install --quiet --disable-pip-version-check $(2) --constraint constraints.txt --editable '.[$(1)]'
endef

install: $(STAMP)  ## Make .venv and install the project with its development tools

$(STAMP): pyproject.toml constraints.txt
	$(call install_extra,dev)
	@touch $@ $(DEMO)

# The demo does with a third of that: half a minute instead of one.
$(DEMO): pyproject.toml constraints.txt
	$(call install_extra,demo,--no-compile)
	@touch $@

demo: $(DEMO)  ## Send a sample study (or STUDY=folder) through a gateway; JSON, masks and pictures come back
	$(BIN)/python -m inference_gateway.demo $(if $(STUDY),"$(STUDY)")

test: install  ## Run the tests: branch coverage at least 95 %, of the wire format 100 %
	$(BIN)/coverage erase
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --cov --cov-report= $(addprefix --ignore=,$(UNMEASURED))
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(UNMEASURED)
	$(BIN)/coverage report --fail-under=95
	$(BIN)/coverage report --include='src/inference_gateway/multipart/*' --fail-under=100

test-quick: install  ## Run the tests that are not marked as slow, without coverage: about a minute
	$(BIN)/pytest -n $(WORKERS) --dist worksteal -m 'not slow'

# Apart from the others: Ray is 80 MB to fetch, a cluster takes ten seconds to start, and one serves all tests.
test-ray: install  ## Run the tests of models on Ray, on a cluster of two nodes on this machine: about five minutes
	@$(BIN)/python -c 'import ray' 2>/dev/null || \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet --constraint constraints.txt --editable '.[ray]'
	$(BIN)/pytest tests -m ray

# Apart from the others: what it brings along is large, and is a plugin of pytest.
test-api: install  ## Have schemathesis look for what /openapi.json says and a running gateway does not do
	@$(BIN)/python -c 'import schemathesis' 2>/dev/null || \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet --constraint constraints.txt --editable '.[api]'
	$(BIN)/pytest tests/description

# Where there is no `helm`, its own code as a Python package: 75 MB.
helm: install  ## Install what renders the chart, where there is none: without it its tests are skipped
	@command -v helm >/dev/null || $(BIN)/python -c 'import helm_python' 2>/dev/null || \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet --constraint constraints.txt --editable '.[deploy]'

test-deploy: helm  ## Run the tests of what deploys: manifests, chart, dashboard, alerts
	$(BIN)/pytest tests/deploy

manifests: helm  ## Write the files of deploy/kustomize anew, as Helm renders the chart
	$(BIN)/python -m tests.deploy.rendering write

image:  ## Build the container image with docker, podman or buildah; docs/image.md has the arguments
	@deploy/image/build.sh

image-test: install  ## Build the image, serve a study from it without rights, compare what it lists with what is in it
	$(BIN)/pytest tests/image -m image

check: install  ## Lint, format, types and the floors that imports may not climb
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## Rewrite the code in the project's format, with the fixes that are safe
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The wheel is built from the sdist, so the demo proves both.
dist: install  ## Build wheel and sdist into dist; install the wheel into an empty environment, run the demo from it
	rm -rf dist build/empty
	$(BIN)/python -m build --no-isolation --outdir dist .
	@$(BIN)/python -m venv --without-pip build/empty
	@echo "Installing the wheel into build/empty ..."
	@if $(BIN)/python -m pip --version >/dev/null 2>&1; then python=$(BIN)/python; else python=$(PYTHON); fi; \
	  $$python -m pip --python build/empty/bin/python install --quiet --disable-pip-version-check \
	    --constraint constraints.txt "$$(echo dist/*.whl)[demo]"
	cd build/empty && bin/python -m inference_gateway.demo
	@ls -l dist

docs: install  ## Make the documents a site in build/docs, and what of them is made of the code anew
	@$(BIN)/python -c 'import mkdocs' 2>/dev/null || \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m manual
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open build/docs/index.html"

bench: install  ## Measure ourselves beside other servers: table, JSON and picture in benchmarks/results
	$(BIN)/python -m benchmarks $(BENCH)

bench-quick: install  ## The same in less than two minutes, with smaller bodies and fewer servers
	$(BIN)/python -m benchmarks --quick $(BENCH)

fuzz: install  ## Look for inputs that break an invariant: 300 s (or SECONDS=n) for each target
	@$(BIN)/python -c 'import atheris' 2>/dev/null || \
	  $(PYTHON) -m pip --python $(BIN)/python install --quiet --constraint constraints.txt --editable '.[fuzz]'
	$(BIN)/python -m fuzz $(if $(SECONDS),--seconds $(SECONDS))

soak: install  ## Ten minutes (or SECONDS=n) of good and bad traffic: does anything leak? Figures in soak/results
	$(BIN)/python -m soak $(if $(SECONDS),--seconds $(SECONDS))

clean:  ## Remove everything that these commands made
	rm -rf $(VENV) benchmarks/.venvs benchmarks/results fuzz/found soak/results demo-output build dist .coverage .coverage.*
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
