# Each target sets up its own environment under .venv on first use.
#
# demo:      tag the example abstracts with the embedded model
# check:     the tests of the packages that need no torch; about a minute, for every edit
# test:      all tests but the slow ones
# test-slow: the slow ones: exports, kills, clusters, the notebooks, the browser, the wheel, the site
# test-all:  both
# fuzz:      10,000 hostile files for each reader, and as many requests
# lint:      style and types
# docs:      the documentation site
# serve:     the page and the HTTP service, on this machine only
# wheel:     the wheel of this commit, and its SBOM
PYTHON ?= python3
DEMO := .venv/demo
DEV := .venv/dev
PYTEST := $(DEV)/bin/python -m pytest --numprocesses auto --dist loadfile

# Python compiles modules once and keeps them: otherwise each worker of a test run compiles them all again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo check test test-slow test-all fuzz lint docs serve wheel clean

demo: $(DEMO)/.installed
	$(DEMO)/bin/openmed-ner tag src/openmed_ner/data/examples

check: $(DEV)/.installed
	$(PYTEST) --no-torch -m "not slow"

test: $(DEV)/.compiled
	$(PYTEST) -m "not slow"

test-slow: $(DEV)/.compiled
	$(PYTEST) -m slow

test-all: test test-slow

fuzz: $(DEV)/.installed
	OPENMED_NER_EXAMPLES=10000 $(DEV)/bin/python -m pytest -m fuzz --timeout 0

lint: $(DEV)/.installed
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy

$(DEMO)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python tools/install.py .
	touch $@

$(DEV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python tools/install.py '.[dev]'
	touch $@

# uv leaves the compilation of a module to its first import, and workers that import it at once all compile it.
# So one process imports what the tests need. If it fails, the tests show why.
$(DEV)/.compiled: $(DEV)/.installed
	-$(DEV)/bin/python -m pytest --collect-only --quiet >/dev/null
	touch $@

docs: $(DEV)/.installed
	NO_MKDOCS_2_WARNING=1 $(DEV)/bin/python -m mkdocs build --strict -d build/site

serve: $(DEV)/.installed
	$(DEV)/bin/openmed-ner serve

wheel: $(DEV)/.installed
	$(DEV)/bin/python tools/build_wheel.py -o dist
	$(DEV)/bin/python tools/write_sbom.py -o dist/openmed_ner.cdx.json --wheel dist/*.whl

clean:
	rm -rf .venv build dist
