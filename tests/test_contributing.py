"""The contributing guide names files, programs, make targets and classes that exist."""

from __future__ import annotations

import re

import pytest

from pages import ROOT

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"(?:src|tests|tools|results|docs|benchmarks)/[\w./]*\w", GUIDE)))
TARGETS = sorted(set(re.findall(r"make ([\w-]+)", GUIDE)))
CODE = sorted(set(re.findall(r"`([A-Z]\w+)`", GUIDE)) - {"OPENMED_NER_EXAMPLES", "OPENMED_NER_CORPORA"})


@pytest.mark.parametrize("path", [path for path in PATHS if "NAME" not in path])
def test_a_file_of_the_guide_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("target", TARGETS)
def test_a_make_target_of_the_guide_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", CODE)
def test_a_class_or_table_of_the_guide_is_defined(name: str) -> None:
    definition = re.compile(rf"^(?:class {name}\b|{name}(?::[^=]+)? = )", re.MULTILINE)
    modules = (ROOT / "src").rglob("*.py")
    assert any(definition.search(module.read_text(encoding="utf-8")) for module in modules)
