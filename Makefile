# Two commands for a fresh machine with Python, pip and a package registry:
#   make demo    paints a photograph; the last line of standard output is the new file's path
#   make test    runs the whole test suite, but for what needs a browser
# Everything is installed as a real wheel, because an editable install would hide the mapped
# packages from mypy and would not test what ships.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test test-browser check format clean

VENV := .venv
BIN := $(VENV)/bin
DEMO_PHOTO := examples/pagoda.jpg
DEMO_PAINTING := examples/village_street.jpg
# Small enough for two minutes on two cores without bf16 arithmetic.
DEMO_OPTIONS := --size 384 --iterations 120
PYTEST_OPTIONS :=
# A file's tests stay together: they share what is costly to make. Four take 8 GB of memory.
TEST_PROCESSES := --numprocesses auto --maxprocesses 4 --dist loadfile

# The folders are listed with the files: their times change when a file is added or removed.
SOURCES := pyproject.toml README.md LICENSE $(shell find src engine export models \
	\( -name __pycache__ -o -name '*.egg-info' \) -prune -o -print)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Tests and documentation that import ONNX Runtime themselves report nothing either.
export ORT_DISABLE_TELEMETRY := 1
# Another environment's packages must not leak in.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed ## Install, then paint a bundled photograph to a new PNG
	@output=demo.png; number=2; \
	while [ -e "$$output" ]; do output="demo-$$number.png"; number=$$((number + 1)); done; \
	$(BIN)/impasto paint $(DEMO_PHOTO) $(DEMO_PAINTING) $(DEMO_OPTIONS) -o "$$output" </dev/null

test: $(VENV)/installed-dev ## Install with the development extras, then run the test suite
	@$(BIN)/pytest $(TEST_PROCESSES) $(PYTEST_OPTIONS) </dev/null

test-browser: $(VENV)/installed-browser ## Test the report in a Chromium, which has to be there
	@$(BIN)/pytest -m browser tests/browser $(PYTEST_OPTIONS) </dev/null

check: $(VENV)/installed-dev ## Lint, format and type checks, the types on the installed package
	@failed=; \
	$(BIN)/ruff check . || failed=1; \
	$(BIN)/ruff format --check . || failed=1; \
	$(BIN)/mypy -p impasto || failed=1; \
	$(BIN)/mypy tests scripts benchmarks || failed=1; \
	test -z "$$failed"

format: $(VENV)/installed-dev ## Format the code and fix what the linter can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## Remove the virtual environment, build folders and caches
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find src engine export models tests scripts benchmarks -name __pycache__ -prune -exec rm -rf {} +

# Left-overs in build/ would go into the wheel, also of modules that were deleted since.
define install
	@echo "Installing $(1) into $(VENV) (a few minutes the first time)" >&2
	@rm -rf build impasto.egg-info
	@$(BIN)/python -m pip install -qq --progress-bar off '$(1)' >&2
	@rm -rf build impasto.egg-info
endef

$(VENV)/installed: $(SOURCES) | $(BIN)/python
	$(call install,.)
	@touch $@

$(VENV)/installed-dev: $(SOURCES) | $(BIN)/python
	$(call install,.[dev])
	@touch $(VENV)/installed $@

$(VENV)/installed-browser: $(VENV)/installed-dev
	@$(BIN)/python -m pip install -qq --progress-bar off '.[browser]' >&2
	@rm -rf build impasto.egg-info
	@touch $@

$(BIN)/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Creating $(VENV) with $$python" >&2; \
			rm -rf $(VENV) && "$$python" -m venv $(VENV) >&2 && exit 0; \
			echo "$$python could not create $(VENV): see above. Debian and Ubuntu keep" \
				"that part of Python in the package python3-venv." >&2; \
			rm -rf $(VENV); exit 1; \
		fi; \
	done; \
	echo "Impasto needs Python 3.11 or newer, and found none under the names python3," \
		"python3.11 to python3.14 and python. Name yours: make PYTHON=/path/to/python" >&2; \
	exit 1
