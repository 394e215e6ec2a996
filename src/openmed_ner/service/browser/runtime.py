"""Find the programs that a page needs: Python for browsers, numpy for it, and a runtime for graphs.

They are no part of this package, and nothing is fetched. npm installs Pyodide and onnxruntime-web into a
folder. It has no numpy for Pyodide, whose wheel is part of Pyodide's releases. Pyodide's list of its packages
names the wheel and its digest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openmed_ner.errors import InputError
from openmed_ner.storage import read_json, sha256_file

LOCK = "pyodide-lock.json"
"""Pyodide's list of its packages."""
INSTALL = "npm install --prefix {} pyodide@0.29.5 onnxruntime-web@1.30.0"
"""Command that installs the versions that were tested into a folder."""
RELEASE = "https://cdn.jsdelivr.net/pyodide/v{}/full/{}"
"""Address of a file of a release of Pyodide."""
_PYODIDE = ("pyodide.mjs", "pyodide.asm.wasm", "python_stdlib.zip", LOCK)
_LOADERS = ("pyodide.asm.mjs", "pyodide.asm.js")
"""Names of the loader of ``pyodide.asm.wasm``: that of version 314, and the one before."""
_ONNXRUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def find_runtime(folder: Path) -> dict[str, list[Path]]:
    """Find the files of the runtime.

    Args:
        folder: folder that npm installed into, with numpy's wheel in it.

    Returns:
        Files of each program, by its name and version.

    Raises:
        InputError: a file is missing, or numpy's wheel is not the one that Pyodide lists.
    """
    pyodide, onnxruntime = (folder / "node_modules" / name for name in ("pyodide", "onnxruntime-web"))
    loader = next((name for name in _LOADERS if (pyodide / name).is_file()), _LOADERS[0])
    programs = {
        pyodide: [pyodide / name for name in (*_PYODIDE, loader)],
        onnxruntime: [onnxruntime / "dist" / name for name in _ONNXRUNTIME],
    }
    _require(folder, [path for paths in programs.values() for path in paths])

    versions = {package: _read_version(package) for package in programs}
    numpy = read_json(pyodide / LOCK)["packages"]["numpy"]
    wheel = _check_wheel(folder / numpy["file_name"], numpy, pyodide=versions[pyodide])
    named = {f"{package.name} {versions[package]}": paths for package, paths in programs.items()}
    return {**named, f"numpy {numpy['version']}": [wheel]}


def _require(folder: Path, paths: Sequence[Path]) -> None:
    """Raise an error unless npm has installed all these files."""
    if missing := [path for path in paths if not path.is_file()]:
        raise InputError(f"{missing[0]} is missing; run: {INSTALL.format(folder)}")


def _read_version(package: Path) -> str:
    return str(json.loads((package / "package.json").read_text(encoding="utf-8"))["version"])


def _check_wheel(path: Path, entry: Mapping[str, Any], *, pyodide: str) -> Path:
    """Compare numpy's wheel with Pyodide's list, and return its path."""
    address = RELEASE.format(pyodide, path.name)
    if not path.is_file():
        raise InputError(f"{path} is missing: npm has no numpy for Pyodide; put it there from {address}")
    if (digest := sha256_file(path)) != entry["sha256"]:
        raise InputError(
            f"{path}: SHA-256 is {digest}, Pyodide's list says {entry['sha256']}; get it again from {address}"
        )
    return path
