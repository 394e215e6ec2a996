"""``openmed-ner doctor``: check the installation, and name the command that fixes each problem.

The packages of each extra are read from the metadata of the installed package, so they are listed once, in
``pyproject.toml``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import typer

from openmed_ner.bundle.record import describe_host, installed_versions
from openmed_ner.cli.options import AsJson
from openmed_ner.cli.output import print_json
from openmed_ner.errors import OpenMedError
from openmed_ner.inference.tagger import Tagger
from openmed_ner.terminologies.catalog import SOURCES
from openmed_ner.terminologies.store import ENVIRONMENT, Store, list_stores

PURPOSES = {
    "train": "training and export",
    "plots": "figures",
    "serve": "the HTTP service and its page",
    "mcp": "tools for assistants",
    "spacy": "spaCy pipelines",
    "context": "negation and context",
    "openvino": "a faster backend",
    "quantise": "static int8",
    "parquet": "tables for analysis",
    "ray": "clusters",
    "notebooks": "data frames and notebooks",
}
"""Purpose of each extra that a user may want."""
FOLDER_VARIABLES = ("OPENMED_NER_CORPORA", "OPENMED_NER_BACKBONES", ENVIRONMENT)
VARIABLES = (*FOLDER_VARIABLES, "OPENMED_NER_OFFLINE")
_WORKS = "works"
_SOURCE_FIELDS = ("title", "version", "licence")
_REQUIREMENT = re.compile(r"(?P<package>[\w.-]+).*\bextra == ['\"](?P<extra>[\w-]+)['\"]")


def doctor(as_json: AsJson = False) -> None:
    """Check the installation and print how to fix it.

    The exit status is 1 if the embedded model does not work.

    Example:
        openmed-ner doctor
    """
    findings = examine()
    if as_json:
        print_json(findings)
    else:
        _print_findings(findings)
    if findings["embedded"] != _WORKS:
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """Examine the installation, its extras, its environment and the embedded model."""
    extras = {
        extra: [package for package in required_packages(extra) if not _is_installed(package)]
        for extra in PURPOSES
    }
    problems = [
        f"pip install 'openmed-ner[{extra}]'  # for {PURPOSES[extra]}"
        for extra, missing in extras.items()
        if missing
    ]

    # Tagging is the one test that covers the files, the model and its runtime.
    embedded = _WORKS
    terminologies: list[dict[str, str]] = []
    try:
        tagger = Tagger.load()
        tagger("A test.")
        if lexicon := tagger.manifest.lexicon:
            terminologies = [
                {"title": source.title, "version": source.version, "licence": source.licence}
                for source in lexicon.terminologies
            ]
    except OpenMedError as error:
        embedded = str(error)
        problems.append("pip install --force-reinstall --no-deps openmed-ner")

    linking: list[dict[str, str]] = []
    missing: dict[str, str] = {}
    try:
        linking, missing = list_sources(), list_missing()
        if not linking:
            problems.append("openmed-ner terminologies build  # for identifiers")
    except OpenMedError as error:
        problems.append(str(error))

    for variable in FOLDER_VARIABLES:
        value = os.environ.get(variable)
        if value and not Path(value).is_dir():
            problems.append(f"{variable} names {value}, which is not a folder")

    return {
        "host": describe_host(),
        "packages": installed_versions(),
        "environment": {variable: os.environ.get(variable) for variable in VARIABLES},
        "embedded": embedded,
        "terminologies": terminologies,
        "identifiers": linking,
        "missing_files": missing,
        "extras": extras,
        "problems": problems,
    }


def list_sources() -> list[dict[str, str]]:
    """Title, version and licence of the compiled terminologies that the environment names.

    Raises:
        InputError: a folder is damaged.
    """
    sources = [source for folder in list_stores() for source in Store.open(folder).manifest["sources"]]
    rows = [{key: str(source.get(key, "")) for key in _SOURCE_FIELDS} for source in sources]
    return [row for number, row in enumerate(rows) if row not in rows[:number]]


def list_missing() -> dict[str, str]:
    """Optional files that the compiled terminologies lack: what each would add, and where it is published.

    Raises:
        InputError: a folder is damaged.
    """
    absent = {
        name
        for folder in list_stores()
        for source in Store.open(folder).manifest["sources"]
        for name in source.get("missing", ())
    }
    return {
        name: f"{part.adds}, from {part.address}"
        for source in SOURCES
        for name, part in source.optional.items()
        if name in absent
    }


def required_packages(extra: str) -> list[str]:
    """Packages that an extra installs, from the metadata of this package."""
    matches = filter(None, map(_REQUIREMENT.match, metadata.requires("openmed-ner") or ()))
    return [match["package"] for match in matches if match["extra"] == extra]


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _print_findings(findings: Mapping[str, Any]) -> None:
    for name, value in {**findings["host"], **findings["packages"]}.items():
        typer.echo(f"{name}: {value}")
    for name, value in findings["environment"].items():
        typer.echo(f"{name}: {value if value is not None else 'not set'}")

    typer.echo(f"embedded model: {findings['embedded']}")
    for key, role in (("terminologies", "names"), ("identifiers", "identifiers")):
        for source in findings[key]:
            name = f"{source['title']} {source['version']}".rstrip()
            typer.echo(f"{role} of: {name} ({source['licence']})")
    for name, adds in findings["missing_files"].items():
        typer.echo(f"identifiers without: {name}, which would add {adds}")
    for extra, missing in findings["extras"].items():
        typer.echo(f"extra {extra}: {'missing ' + ', '.join(missing) if missing else 'complete'}")
    for problem in findings["problems"]:
        typer.echo(f"to fix: {problem}")
