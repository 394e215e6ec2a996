"""The wheel: the same bytes from the same sources, what is in it, that it runs, and its bill of materials."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from openmed_ner.bundle import open_bundle
from openmed_ner.inference.tagger import embedded_bundle
from openmed_ner.terminologies.catalog import packaged_tables
from pages import ROOT, load_tool

pytestmark = pytest.mark.slow

EPOCH = 1_760_000_000
builds = pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling is not installed")
lists = pytest.mark.skipif(find_spec("cyclonedx") is None, reason="cyclonedx-python-lib is not installed")


def copy_sources(folder: Path, *, umask: int, time: int) -> Path:
    """The sources as another checkout would have them: other rights, other times."""
    before = os.umask(umask)
    try:
        for name in load_tool("build_wheel").SOURCES:
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, target, ignore=ignore, copy_function=shutil.copyfile)
            else:
                shutil.copyfile(source, target)
    finally:
        os.umask(before)
    for path in folder.rglob("*"):
        os.utime(path, (time, time))
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = copy_sources(folder / "source", umask=0o022, time=EPOCH)
    return load_tool("build_wheel").build(source, folder / "dist", time=EPOCH)


@builds
def test_the_same_sources_give_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    source = copy_sources(tmp_path / "elsewhere/source", umask=0o077, time=EPOCH + 12345)
    again = load_tool("build_wheel").build(source, tmp_path / "dist", time=EPOCH)
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout to take a commit from")
def test_the_sources_of_a_commit_are_what_git_holds(tmp_path: Path) -> None:
    tool = load_tool("build_wheel")
    time = tool.export("HEAD", tmp_path)
    command = ["git", "-C", str(ROOT), "ls-tree", "-r", "--name-only", "HEAD", *tool.SOURCES]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert sorted(listed) == sorted(
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    )
    assert time > 1_700_000_000  # seconds, and after the project began


@builds
def test_a_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = {info.filename for info in archive.infolist()}
        moments = {info.date_time for info in archive.infolist()}
        embedded = {name for name in names if name.startswith("openmed_ner/data/model/")}
        model = archive.read("openmed_ner/data/model/model.onnx")
    bundle = open_bundle(embedded_bundle())
    assert embedded == {
        f"openmed_ner/data/model/{name}" for name in ("manifest.json", *bundle.manifest.files)
    }
    assert model == bundle.read("model.onnx")
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"openmed_ner"}
    assert {"LICENSE", "NOTICE", "METADATA", "RECORD"} <= {name.rpartition("/")[2] for name in names}
    unwanted = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".pyc", ".so")
    assert not [name for name in names if name.endswith(unwanted) or "test" in name.rpartition("/")[2]]
    tables = {f"openmed_ner/data/terminologies/{path.name}" for path in packaged_tables().iterdir()}
    assert {name for name in names if name.startswith("openmed_ner/data/terminologies/")} == tables
    assert len(moments) == 1
    sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src/openmed_ner").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources


@builds
def test_a_wheel_tags_offline_where_it_is_installed(wheel: Path, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    alone = ["--no-index", "--no-deps", "--no-compile", "--target", str(tmp_path / "site")]
    subprocess.run([*pip, *alone, str(wheel)], check=True, timeout=120)
    program = (
        "import openmed_ner, sys\n"
        "print(openmed_ner.__file__, file=sys.stderr)\n"
        "from openmed_ner.cli.main import main\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "tag", "--to", "jsonl"],
        input="Cisplatin caused nephrotoxicity.",
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "OPENMED_NER_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(str(tmp_path / "site"))
    assert {span["text"] for span in json.loads(done.stdout)["spans"]} == {"Cisplatin", "nephrotoxicity"}


# --- the bill of materials


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    return load_tool("write_sbom")


@pytest.fixture(scope="module")
def bill(sbom: ModuleType) -> dict[str, Any]:
    return json.loads(sbom.render(sbom.make_bom(open_bundle(embedded_bundle()))))


@lists
def test_a_bill_is_cyclonedx(bill: dict[str, Any]) -> None:
    import cyclonedx
    from jsonschema import Draft7Validator
    from referencing import Registry, Resource

    folder = Path(cyclonedx.__file__).parent / "schema/_res"
    schemas = {
        name: json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text(encoding="utf-8"))
        for name in ("bom-1.6", "spdx", "jsf-0.82")
    }
    registry = Registry().with_resources(
        (f"http://cyclonedx.org/schema/{name}.SNAPSHOT.schema.json", Resource.from_contents(schema))
        for name, schema in schemas.items()
    )
    validator = Draft7Validator(schemas["bom-1.6"], registry=registry)
    assert not list(validator.iter_errors(bill))
    assert list(validator.iter_errors({**bill, "components": [{"name": "no type"}]}))


@lists
def test_a_bill_is_the_same_every_time(
    sbom: ModuleType, bill: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = open_bundle(embedded_bundle())
    assert json.loads(sbom.render(sbom.make_bom(bundle))) == bill
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(EPOCH))
    later = json.loads(sbom.render(sbom.make_bom(bundle)))
    assert later["metadata"]["timestamp"] == "2025-10-09T08:53:20+00:00"
    assert later["serialNumber"] != bill["serialNumber"]


@lists
def test_a_bill_lists_what_an_installation_needs_at_the_pinned_versions(bill: dict[str, Any]) -> None:
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    packages = {each["name"]: each for each in bill["components"] if each["type"] == "library"}
    assert all(pins[name] == each["version"] for name, each in packages.items())
    core = {Requirement(line).name for line in requires("openmed-ner") or () if "extra ==" not in line}
    needs = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    root = bill["metadata"]["component"]["bom-ref"]
    assert set(needs[root]) == {packages[name]["bom-ref"] for name in core} | {"openmed-ner-minilm"}
    assert not {"torch", "transformers", "pytest"} & set(packages)
    assert not [name for name, each in packages.items() if not each.get("licenses")]


@lists
def test_a_bill_names_the_model_its_files_and_what_it_was_made_from(bill: dict[str, Any]) -> None:
    bundle = open_bundle(embedded_bundle())
    (model,) = (each for each in bill["components"] if each["type"] == "machine-learning-model")
    assert model["hashes"] == [{"alg": "SHA-256", "content": bundle.sha256}]
    assert {each["name"]: each["hashes"][0]["content"] for each in model["components"]} == {
        name: file.sha256 for name, file in bundle.manifest.files.items()
    }
    stated = {each["name"]: each["value"] for each in model["properties"]}
    assert stated["made-from:backbone:minilm-l6"] == "Apache-2.0"
    assert {f"made-from:corpus:{head.corpus}" for head in bundle.manifest.heads} <= set(stated)


@lists
def test_a_bill_has_the_hashes_that_are_known(sbom: ModuleType, tmp_path: Path) -> None:
    row = {
        "metadata": {"name": "NumPy"},
        "download_info": {"archive_info": {"hashes": {"sha256": "ab" * 32}}},
    }
    report, archive = tmp_path / "report.json", tmp_path / "some.whl"
    report.write_text(json.dumps({"install": [row, {"metadata": {"name": "x"}, "download_info": {}}]}))
    archive.write_bytes(b"wheel")
    bom = sbom.make_bom(open_bundle(embedded_bundle()), wheel=archive, report=report)
    record = json.loads(sbom.render(bom))
    hashes = {each["name"]: each.get("hashes") for each in record["components"]}
    assert hashes["numpy"] == [{"alg": "SHA-256", "content": "ab" * 32}] and hashes["rich"] is None
    assert len(record["metadata"]["component"]["hashes"]) == 1


@lists
def test_a_bill_refuses_versions_that_are_not_the_pinned_ones(
    sbom: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sbom, "read_constraints", lambda path: {"numpy": "0.1"})
    with pytest.raises(SystemExit, match=r"is installed; constraints.txt says"):
        sbom.make_bom(open_bundle(embedded_bundle()))
