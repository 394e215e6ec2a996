"""The recipe for conda: what it says is what ``pyproject.toml`` says. No package is built here."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from pages import ROOT

PATH = ROOT / "packaging/conda/recipe.yaml"
TEXT = PATH.read_text(encoding="utf-8")
RECIPE: dict[str, Any] = yaml.safe_load(TEXT)
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA_NAMES = {"bioc": "python-bioc", "huggingface-hub": "huggingface_hub"}
"""Names on conda-forge of packages that have other names on PyPI."""


def fill_in(text: str) -> str:
    """Replace the variables of a recipe."""
    return re.sub(r"\$\{\{ (\w+) \}\}", lambda match: str(RECIPE["context"][match[1]]), text)


def to_conda(requirement: str) -> str:
    """Write a requirement of Python as conda does: ``typer >=0.19``."""
    match = re.fullmatch(r"([\w-]+)(.*)", requirement)
    assert match
    return f"{CONDA_NAMES.get(match[1], match[1])} {match[2]}"


def test_the_recipe_needs_what_the_package_needs() -> None:
    python, *packages = map(fill_in, RECIPE["requirements"]["run"])
    assert python == f"python {PROJECT['project']['requires-python']}"
    assert packages == list(map(to_conda, PROJECT["project"]["dependencies"]))
    _, *host = RECIPE["requirements"]["host"]
    assert host == ["pip", *map(to_conda, PROJECT["build-system"]["requires"])]


def test_the_recipe_names_the_package_as_it_is() -> None:
    project = PROJECT["project"]
    assert fill_in(RECIPE["package"]["name"]) == project["name"]
    assert fill_in(RECIPE["package"]["version"]) == project["version"]
    assert RECIPE["about"]["license"] == project["license"]
    assert RECIPE["about"]["license_file"] == project["license-files"]
    (entry,) = RECIPE["build"]["python"]["entry_points"]
    assert dict([entry.split(" = ")]) == project["scripts"]


def test_everything_that_the_recipe_builds_from_is_there() -> None:
    source = (PATH.parent / RECIPE["source"]["path"]).resolve()
    assert source == ROOT
    assert all((ROOT / name).is_file() for name in RECIPE["about"]["license_file"])


def test_rattler_build_understands_the_recipe() -> None:
    rattler_build = pytest.importorskip("rattler_build", reason="py-rattler-build is not installed")
    recipe = rattler_build.Stage0Recipe.from_yaml(TEXT)
    assert recipe.as_single_output().build.noarch is not None
