from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openmed_ner.bundle import Bundle, Manifest, open_bundle, seal
from openmed_ner.errors import BundleError
from openmed_ner.inference.tagger import Tagger


@pytest.fixture
def copy(runtime_bundle: Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(runtime_bundle.folder, tmp_path / "bundle"))


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(json.dumps(record), encoding="utf-8")


def list_file(folder: Path, name: str, content: bytes) -> None:
    """Add a file and have the manifest vouch for it, as an attacker would."""
    target = folder / name
    target.write_bytes(content)
    entry = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit_manifest(folder, lambda record: record["files"].update({name: entry}))


def test_a_bundle_comes_back_as_it_was_written(runtime_bundle: Bundle) -> None:
    assert open_bundle(runtime_bundle.folder).manifest == runtime_bundle.manifest
    assert Manifest.from_json(runtime_bundle.manifest.to_json()) == runtime_bundle.manifest


def test_every_file_is_hashed(runtime_bundle: Bundle) -> None:
    present = {path.name for path in runtime_bundle.folder.iterdir()} - {"manifest.json"}
    assert present == set(runtime_bundle.manifest.files)
    assert present == {"model.onnx", "tokenizer.json", "README.md", "run.json", "parity.json"}


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "README.md", "run.json", "parity.json"])
def test_one_changed_bit_is_refused(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name}.*changed or"):
        Tagger.load(copy)


def test_a_truncated_file_is_refused(copy: Path) -> None:
    (copy / "model.onnx").write_bytes((copy / "model.onnx").read_bytes()[:-1])
    with pytest.raises(BundleError, match="bytes, the manifest says"):
        open_bundle(copy)


def test_a_missing_file_is_refused(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(BundleError, match=r"tokenizer\.json is missing"):
        open_bundle(copy)


def test_an_unlisted_file_is_refused(copy: Path) -> None:
    (copy / "extra.json").write_text("{}")
    with pytest.raises(BundleError, match=r"extra\.json is not in the manifest"):
        open_bundle(copy)


@pytest.mark.parametrize(
    "name", ["model.pkl", "pytorch_model.bin", "weights.pt", "data.npy", "setup.py", "lib.so"]
)
def test_a_kind_of_file_that_can_run_code_is_refused(copy: Path, name: str) -> None:
    list_file(copy, name, pickle.dumps(print))
    with pytest.raises(BundleError, match="pickle"):
        Tagger.load(copy)


def test_a_pickle_in_disguise_is_never_unpickled(copy: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
            return pytest.fail, ("a pickle was loaded",)

    list_file(copy, "model.onnx", pickle.dumps(Bomb()))
    with pytest.raises(BundleError, match=r"model\.onnx cannot be loaded"):
        Tagger.load(copy)


@pytest.mark.parametrize(
    "name", ["../outside.json", "/etc/passwd.json", "a/../../b.json", "a\\b.json", "C:a.json"]
)
def test_a_path_out_of_the_bundle_is_refused(copy: Path, name: str) -> None:
    edit_manifest(copy, lambda record: record["files"].update({name: {"size": 0, "sha256": ""}}))
    with pytest.raises(BundleError, match="does not lie inside"):
        open_bundle(copy)


def test_a_symbolic_link_is_refused(copy: Path) -> None:
    (copy / "link.json").symlink_to(copy / "run.json")
    with pytest.raises(BundleError, match="symbolic link"):
        open_bundle(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.pop("heads"), "damaged"),
        (lambda record: record.update(format=2), "upgrade"),
        (lambda record: record.update(kind="virus"), "virus"),
        (lambda record: record.update(window="wide"), "damaged"),
        (lambda record: record["heads"][0].update(scheme="BILOU"), "damaged"),
        (lambda record: record["heads"][0].update(transitions=[[0.0]]), "rows and columns"),
        (
            lambda record: record["heads"][0].update(transitions=[[float("nan")] * 3] * 3),
            "from -1000 to 1000",
        ),
        (lambda record: record.update(layers=["first"]), "damaged"),
        (lambda record: record.update(backbone=[]), "damaged"),
        (lambda record: record.update(files=[]), "damaged"),
    ],
)
def test_a_damaged_manifest_is_refused(
    copy: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit_manifest(copy, change)
    with pytest.raises(BundleError, match=message):
        open_bundle(copy)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_no_json_object_is_refused(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        open_bundle(copy)


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        open_bundle(tmp_path)


def test_a_file_is_checked_again_when_it_is_read(copy: Path) -> None:
    bundle = open_bundle(copy)
    (copy / "run.json").write_bytes(b"!" * bundle.manifest.files["run.json"].size)
    with pytest.raises(BundleError, match="changed or"):
        bundle.read("run.json")
    with pytest.raises(BundleError, match=r"has no scores\.json"):
        bundle.read("scores.json")


def test_a_kept_file_is_handed_out_once_as_it_was_checked(copy: Path) -> None:
    bundle = open_bundle(copy, keep=["tokenizer.json"])
    path = copy / "tokenizer.json"
    checked = path.read_bytes()
    path.write_bytes(checked[:-1] + b" ")
    assert bundle.read("tokenizer.json") == checked
    with pytest.raises(BundleError, match="SHA-256"):
        bundle.read("tokenizer.json")


def test_a_check_that_leaves_out_a_file_is_refused(copy: Path) -> None:
    def check_all_but_the_model(check: Callable[[str], None], manifest: Manifest) -> None:
        for name in manifest.files.keys() - {"model.onnx"}:
            check(name)

    with pytest.raises(BundleError, match=r"model\.onnx was not checked"):
        open_bundle(copy, check_files=check_all_but_the_model)


def test_sealing_refuses_what_opening_would(copy: Path, runtime_bundle: Bundle) -> None:
    (copy / "model.bin").write_bytes(b"")
    with pytest.raises(BundleError, match="pickle"):
        seal(copy, runtime_bundle.manifest)
