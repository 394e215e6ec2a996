from __future__ import annotations

import re
import tomllib

from openmed_ner.cli.doctor import PURPOSES, required_packages
from pages import ROOT

DEVELOPERS = {"dev", "docs"}


def test_every_extra_for_users_is_examined_with_all_its_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert PURPOSES.keys() == extras.keys() - DEVELOPERS
    for extra in PURPOSES:
        packages = [re.split(r"[\[<>=]", requirement)[0] for requirement in extras[extra]]
        assert sorted(required_packages(extra)) == sorted(packages)
