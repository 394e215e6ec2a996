"""Write the bill of materials of the wheel: CycloneDX JSON of what an installation runs.

    python tools/write_sbom.py -o dist/openmed_ner.cdx.json [--wheel FILE] [--pip-report FILE]

It lists the core dependencies and their dependencies at the versions of constraints.txt, with licences, and
the embedded model with its files and sources. The same inputs give the same bytes: the serial number is
derived from the content, the time is SOURCE_DATE_EPOCH (1980 if unset).

Hashes of dependencies come from a report of pip, which resolves them:
``pip install --dry-run --ignore-installed --no-deps --report FILE -c constraints.txt PACKAGE…``.
"""

from __future__ import annotations

import argparse
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.manifest import RECORD
from openmed_ner.inference.tagger import embedded_bundle
from openmed_ner.publish.cards import find_sources
from openmed_ner.storage import sha256_file

ROOT = Path(__file__).resolve().parents[1]
PROJECT = "openmed-ner"
EARLIEST = 315532800  # 1980, the first year that a wheel can hold
_LICENCES = LicenseFactory()


def read_constraints(path: Path) -> dict[str, str]:
    """The pinned version of every package."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pins = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {canonicalize_name(name): version.strip() for name, version in pins}


def read_hashes(report: Path | None) -> dict[str, str]:
    """SHA-256 of the archive of every package in a report of pip."""
    if report is None:
        return {}
    rows = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {
        canonicalize_name(row["metadata"]["name"]): row["download_info"]["archive_info"]["hashes"]["sha256"]
        for row in rows
        if "archive_info" in row["download_info"]
    }


def find_dependencies(project: str = PROJECT) -> dict[str, tuple[str, ...]]:
    """Every package of an installation without extras, with its own requirements on this system."""
    requirements: dict[str, set[str]] = {}
    waiting, seen = [(project, frozenset[str]())], set()
    while waiting:
        name, extras = package = waiting.pop()
        if package not in seen:
            seen.add(package)
            needed = [
                (canonicalize_name(requirement.name), frozenset(requirement.extras))
                for requirement in iter_requirements(name, extras)
            ]
            requirements.setdefault(name, set()).update(other for other, _ in needed)
            waiting += needed
    return {name: tuple(sorted(needed)) for name, needed in sorted(requirements.items())}


def iter_requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """Yield the requirements of a package with some extras on this system."""
    for line in metadata.requires(name) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def describe_package(name: str, pins: Mapping[str, str], hashes: Mapping[str, str]) -> Component:
    """A dependency at its pinned version, with the licence in its metadata.

    Raises:
        SystemExit: the installed version is not the pinned one, so its licence may differ.
    """
    version = metadata.version(name)
    if pins.get(name) != version:
        raise SystemExit(f"{name} {version} is installed; constraints.txt says {pins.get(name, 'nothing')}")
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"pkg:pypi/{name}@{version}",
        purl=PackageURL("pypi", name=name, version=version),
        licenses=[_LICENCES.make_from_string(licence)] if (licence := stated_licence(name)) else [],
        hashes=[sha256(hashes[name])] if name in hashes else [],
    )


def stated_licence(name: str) -> str:
    """The licence of an installed package: its expression, its classifiers, or the first line of its text."""
    fields = metadata.metadata(name)
    if expression := fields.get("License-Expression"):
        return str(expression)
    classifiers = [row for row in fields.get_all("Classifier") or () if row.startswith("License :: ")]
    if classifiers:
        return " and ".join(row.rpartition(" :: ")[2] for row in classifiers)
    return (fields.get("License") or "").strip().split("\n")[0][:200]


def describe_model(bundle: Bundle) -> Component:
    """The embedded bundle: its files and its sources."""
    manifest = bundle.manifest
    files = [
        Component(
            type=ComponentType.FILE,
            name=name,
            bom_ref=f"{manifest.name}/{name}",
            hashes=[sha256(file.sha256)],
            properties=[Property(name="size", value=str(file.size))],
        )
        for name, file in manifest.files.items()
    ]
    sources = [
        Property(name=f"made-from:{source.role}:{source.name}", value=source.licence)
        for source in find_sources(manifest, bundle.read_json(RECORD))
    ]
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=manifest.name,
        version=manifest.version,
        bom_ref=manifest.name,
        licenses=[_LICENCES.make_from_string(manifest.licence)],
        hashes=[sha256(bundle.sha256)],
        components=files,
        properties=sources,
        description="The embedded bundle; its SHA-256 is that of its manifest, which names every file's.",
    )


def sha256(digest: str) -> HashType:
    """A SHA-256 in the notation of the format."""
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def make_bom(bundle: Bundle, *, wheel: Path | None = None, report: Path | None = None) -> Bom:
    """The bill of materials of the wheel.

    Args:
        bundle: the embedded bundle.
        wheel: file of the wheel, to state its SHA-256.
        report: report of pip, with the hashes of the dependencies.
    """
    pins, hashes = read_constraints(ROOT / "constraints.txt"), read_hashes(report)
    dependencies = find_dependencies()
    packages = {name: describe_package(name, pins, hashes) for name in dependencies if name != PROJECT}
    version = metadata.version(PROJECT)
    digest = sha256_file(wheel) if wheel else None
    root = Component(
        type=ComponentType.APPLICATION,
        name=PROJECT,
        version=version,
        bom_ref=f"pkg:pypi/{PROJECT}@{version}",
        purl=PackageURL("pypi", name=PROJECT, version=version),
        licenses=[_LICENCES.make_from_string(stated_licence(PROJECT))],
        hashes=[sha256(digest)] if digest else [],
    )

    model = describe_model(bundle)
    moment = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", EARLIEST)), UTC)
    bom = Bom(components=[*packages.values(), model], metadata=BomMetaData(component=root, timestamp=moment))
    for name, needed in dependencies.items():
        component = root if name == PROJECT else packages[name]
        extra = [model] if component is root else []
        bom.register_dependency(component, [*(packages[requirement] for requirement in needed), *extra])
    bom.serial_number = uuid.UUID(int=0)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, render(bom))
    return bom


def render(bom: Bom) -> str:
    """The bill of materials as JSON, always in the same order."""
    record: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    return json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the file named on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--wheel", type=Path)
    parser.add_argument("--pip-report", type=Path)
    options = parser.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    bom = make_bom(open_bundle(embedded_bundle()), wheel=options.wheel, report=options.pip_report)
    options.output.write_text(render(bom), encoding="utf-8")


if __name__ == "__main__":
    main()
