# make setup     makes the environment (.venv; BACKEND=cuda: .venv-cuda; PYTHON=python3.12 chooses the interpreter)
# make demo      trains and recommends on generated data; make serve-demo opens a page that shows a service at work
# make test      runs the tests; make test-slow the slow ones; make lint the linters and the type checker
# make docs      builds the documentation into site/
# make bench     names the ratios of the benchmarks that fell; make bench-quick runs each benchmark once
BACKEND ?= cpu
ENV := $(if $(filter cpu,$(BACKEND)),.venv,.venv-$(BACKEND))
# An environment that stands keeps its own interpreter until PYTHON names another.
RUNNER = $(or $(PYTHON),$(shell test -x $(ENV)/bin/python && echo $(ENV)/bin/python),python3)
PYTEST := OMP_NUM_THREADS=1 $(ENV)/bin/python -m pytest -n 2 --dist loadfile

.PHONY: setup demo serve-demo test test-slow bench bench-quick lint docs modules lock clean

setup:
	@$(RUNNER) requirements/install.py --backend "$(BACKEND)"

demo: setup
	$(ENV)/bin/python recipes/demo.py

serve-demo: setup
	$(ENV)/bin/python recipes/serve_demo.py

test: setup
	$(PYTEST)

# 5: there is no slow test.
test-slow: setup
	$(PYTEST) -m slow || [ $$? -eq 5 ]

bench: setup
	OMP_NUM_THREADS=1 $(ENV)/bin/python benchmarks/compare.py

bench-quick: setup
	OMP_NUM_THREADS=1 $(ENV)/bin/python benchmarks/compare.py --run-only

lint: setup
	$(ENV)/bin/python -m ruff check
	$(ENV)/bin/python -m ruff format --check
	$(ENV)/bin/python -m mypy torchrec_ext $(wildcard recipes benchmarks)
	$(ENV)/bin/lint-imports --no-cache --no-logo

# The documentation, into site/; it needs no network.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(ENV)/bin/python -m mkdocs build --strict --quiet

# The table of modules in the documentation, from the code.
modules: setup
	$(ENV)/bin/python -m torchrec_ext list --built-in --into docs/modules.md

# For maintainers, with uv on the PATH: the pins of everything but torch and fbgemm, for every Python.
lock:
	uv pip compile pyproject.toml --universal --python-version 3.10 --extra cuda --extra dev --extra docs \
		--no-emit-package torch --no-emit-package fbgemm-gpu --upgrade \
		--custom-compile-command "make lock" --output-file requirements/lock.txt

clean:
	rm -rf .venv .venv-cuda .pytest_cache .mypy_cache .ruff_cache .hypothesis dist site
