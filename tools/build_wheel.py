"""Build the wheel of a commit: the same commit gives the same bytes, wherever and whenever it is built.

    python tools/build_wheel.py -o dist [--commit HEAD]

It is built from what git holds, not from the working tree, with the commit's time as the time of every
file. Another version of hatchling or of zlib may pack the same files into other bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
SOURCES = (".gitignore", "LICENSE", "NOTICE", "README.md", "pyproject.toml", "src")
"""What the wheel is made of."""


def export(commit: str, folder: Path) -> int:
    """Write the sources of a commit into a folder, and return the commit's time in seconds since 1970."""
    content = _git("archive", "--format=zip", commit, *SOURCES)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
    return int(_git("log", "-1", "--format=%ct", commit))


def build(source: Path, output: Path, *, time: int) -> Path:
    """Build a wheel from a folder of sources.

    Args:
        source: the folder.
        output: where the wheel goes; made if need be.
        time: of every file in the wheel, in seconds since 1970.

    Raises:
        SystemExit: the build failed; what it printed says why.
    """
    output.mkdir(parents=True, exist_ok=True)
    before = set(output.glob("*.whl"))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(output.resolve())]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(time)}
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the wheel was not built:\n{done.stdout}{done.stderr}")
    made = set(output.glob("*.whl"))
    return (made - before or made).pop()


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True).stdout


def main() -> None:
    """Build, and print what can be compared."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("dist"))
    parser.add_argument("--commit", default="HEAD")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        time = export(options.commit, Path(name))
        wheel = build(Path(name), options.output, time=time)
    print(f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel}")


if __name__ == "__main__":
    main()
