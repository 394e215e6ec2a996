"""Install this checkout into the environment that runs this program: with uv, or with pip where uv fails.

pip's resolver needs four minutes of processor time for the development extras, uv's needs five seconds. uv
does not read pip's configuration, so it is told where pip would look. ``constraints.txt`` has the versions.

    .venv/dev/bin/python tools/install.py '.[dev]'
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys

PIP = [sys.executable, "-m", "pip"]
SOURCES = ("index-url", "extra-index-url", "find-links")
"""Options of the same name and meaning in pip and uv."""


def read_settings() -> dict[str, str]:
    """Read pip's configuration; a variable of the environment comes before a file, as in pip."""
    done = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=True)
    settings: dict[str, str] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        settings.setdefault(key.rpartition(".")[2], str(ast.literal_eval(value)))
    return settings


def install_with_uv(requirement: str) -> bool:
    """Return whether uv was available and could install the requirement."""
    if subprocess.run([*PIP, "install", "--quiet", "uv"], check=False).returncode:
        return False

    settings = read_settings()
    sources: list[str] = []
    for name in SOURCES:
        for url in settings.get(name, "").split():
            sources += [f"--{name}", url]
    environment = dict(os.environ)
    if "cert" in settings:
        environment.setdefault("SSL_CERT_FILE", settings["cert"])
    if "default-timeout" in settings:
        environment.setdefault("UV_HTTP_TIMEOUT", settings["default-timeout"])

    # pip takes the best version of all indexes; uv would stop at the first index that has the package.
    uv = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, "--quiet"]
    options = ["--index-strategy", "unsafe-best-match", "--constraint", "constraints.txt"]
    command = [*uv, *options, *sources, "--editable", requirement]
    done = subprocess.run(command, env=environment, check=False)
    return done.returncode == 0


def main(requirement: str) -> int:
    """Install a requirement such as ``.[dev]``, editable; return the exit status."""
    if install_with_uv(requirement):
        return 0
    print("uv could not install the packages; installing with pip, which takes some minutes", file=sys.stderr)
    command = [*PIP, "install", "--quiet", "--constraint", "constraints.txt", "--editable", requirement]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))
