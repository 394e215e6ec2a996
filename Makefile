# demo: tag the example abstracts with the embedded model.   test: the test suite.   lint: style, types.
# Each sets up its own environment under .venv on first use.
PYTHON ?= python3
DEMO := .venv/demo
DEV := .venv/dev

.PHONY: demo test lint clean

demo: $(DEMO)/.installed
	$(DEMO)/bin/openmed-ner tag src/openmed_ner/examples

test: $(DEV)/.installed
	$(DEV)/bin/python -m pytest

lint: $(DEV)/.installed
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy

$(DEMO)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(DEV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv build dist
