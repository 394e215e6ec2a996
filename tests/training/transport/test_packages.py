"""The packages that another machine lacks travel as wheels, also those that are published as source alone."""

from __future__ import annotations

import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from openmed_ner.errors import RunError
from openmed_ner.training.transport.packages import download_wheels

BUILDER = """
from pathlib import Path
from zipfile import ZipFile

INFO = "NAME-1.0.dist-info"
METADATA = "Metadata-Version: 2.1\\nName: NAME\\nVersion: 1.0\\n"

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    Path(folder, INFO).mkdir()
    Path(folder, INFO, "METADATA").write_text(METADATA)
    return INFO

def build_wheel(folder, config_settings=None, metadata_directory=None):
    wheel = "NAME-1.0-TAG.whl"
    with ZipFile(Path(folder, wheel), "w") as file:
        file.writestr(f"{INFO}/METADATA", METADATA)
        file.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: TAG\\n")
        file.writestr(f"{INFO}/RECORD", "")
    return wheel
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "builder"\nbackend-path = ["."]\n'


def write_source(folder: Path, name: str, tag: str) -> None:
    """Write the source of a package that builds itself, without the network."""
    root = folder / f"{name}-1.0"
    root.mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "builder.py").write_text(BUILDER.replace("NAME", name).replace("TAG", tag))
    (root / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as file:
        file.add(root, root.name)


@pytest.mark.slow
def test_a_package_without_a_wheel_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "index"
    write_source(index, "plain", "py3-none-any")
    write_source(index, "compiled", "cp311-none-any")
    with ZipFile(index / "ready-1.0-cp312-none-any.whl", "w") as file:
        file.writestr("ready-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: ready\nVersion: 1.0\n")
        file.writestr("ready-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        file.writestr("ready-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))

    download_wheels({"plain": "1.0", "ready": "1.0"}, tmp_path / "wheels", python="3.12")
    names = sorted(path.name for path in (tmp_path / "wheels").iterdir())
    assert names == ["plain-1.0-py3-none-any.whl", "ready-1.0-cp312-none-any.whl"]
    with pytest.raises(RunError, match=r"fits this machine alone; pack with --no-wheels"):
        download_wheels({"compiled": "1.0"}, tmp_path / "other", python="3.12")
    with pytest.raises(RunError, match=r"(?s)pip download failed: .*missing==1\.0.*; pack with --no-wheels"):
        download_wheels({"missing": "1.0"}, tmp_path / "none", python="3.12")
