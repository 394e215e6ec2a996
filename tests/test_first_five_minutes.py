"""The path of somebody new: the commands of the README, in an environment of their own, to an own model.

The environment is empty but for the packages that this package needs. These are not downloaded: a path file
points to those of the tests. The package itself is installed from the checkout, as the README says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

from notes import make_notes
from openmed_ner.formats import write_documents
from pages import ROOT, read_blocks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.timeout(1_800),
    pytest.mark.skipif(sys.platform == "win32", reason="the commands of the README are for a POSIX shell"),
    pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling is not installed"),
]

ONE_EPOCH = "" if os.environ.get("OPENMED_NER_FULL_PATH") else " --set schedule.epochs=1"
"""Spares the time of the other epochs; ``tests/training/test_data_size.py`` trains with all of them."""
RUN = ("", "takes minutes")
"""Reasons, as in comments of the README, that keep no block from being run here."""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The folder of programs of a new environment with the package."""
    folder = tmp_path / "environment"
    venv.create(folder, with_pip=False)
    site = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    Path(site, "packages.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    python = str(folder / "bin/python")
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet"]
    began = time.monotonic()
    subprocess.run([python, "-m", "pip", "install", *offline, str(ROOT)], check=True, env=environment(folder))
    print(f"{time.monotonic() - began:.1f} s  pip install .")
    return folder / "bin"


def environment(folder: Path) -> dict[str, str]:
    """Variables of a shell in which nothing of the package is set, and which has no network."""
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    path = f"{folder / 'bin'}{os.pathsep}{os.defpath}"
    return {**kept, "PATH": path, "HOME": str(folder), "OPENMED_NER_OFFLINE": "1"}


def test_the_readme_leads_to_an_own_model(programs: Path, tmp_path: Path) -> None:
    place = tmp_path / "work"
    (place / "notes").mkdir(parents=True)
    for name, n_documents, seed in (("train", 24, 0), ("dev", 6, 1), ("test", 20, 2)):
        write_documents(make_notes(n_documents, seed=seed), place / f"{name}.jsonl")
    for document in make_notes(3, seed=3):
        (place / f"notes/{document.id}.txt").write_text(document.text, encoding="utf-8")

    def run(line: str) -> str:
        began = time.monotonic()
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=place,
            env=environment(programs.parent),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        print(f"{time.monotonic() - began:.1f} s  {line}")
        return done.stdout

    assert str(programs.parent) in run("python -c 'import openmed_ner; print(openmed_ner.__file__)'")
    blocks = read_blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    lines = [command.line for reason, commands in blocks if reason in RUN for command in commands]
    assert sum(line.startswith("openmed-ner train") for line in lines) == 1
    printed = {line: run(line + ONE_EPOCH * line.startswith("openmed-ner train")) for line in lines}

    (tagged,) = (text for line, text in printed.items() if line.startswith("openmed-ner tag notes/ --bundle"))
    assert "Dose" in tagged and "Chemical" in tagged  # own types beside those of the embedded model
    run("openmed-ner evaluate runs/ours/bundle --data test.jsonl --head train --json scores.json")
    assert json.loads((place / "scores.json").read_text())["results"][0]["micro"]["f1"] > 0.8
