"""Adapters that are damaged, or made by others, are refused with their bundle's name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load, save

from openmed_ner.bundle import Bundle, open_bundle, seal
from openmed_ner.errors import BundleError
from openmed_ner.model.bundles import load_model

WEIGHTS, CONFIG, HEADS = "adapter_model.safetensors", "adapter_config.json", "heads.safetensors"
Edit = Callable[[bytes], bytes]


def settings(**values: object) -> Edit:
    return lambda content: json.dumps({**json.loads(content), **values}).encode()


def rename(content: bytes) -> bytes:
    return save({f"{name}x": value for name, value in load(content).items()})


def shorten(content: bytes) -> bytes:
    return save({name: value[:1] for name, value in load(content).items()})


def replace(content: bytes) -> Edit:
    return lambda _: content


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        (WEIGHTS, None),
        (CONFIG, None),
        (WEIGHTS, replace(b"xx")),
        (WEIGHTS, replace(save({}))),
        (WEIGHTS, rename),
        (WEIGHTS, shorten),
        (HEADS, replace(b"")),
        (HEADS, rename),
        (CONFIG, replace(b"[]")),
        (CONFIG, replace(b"{")),
        (CONFIG, settings(r=float("inf"))),
        (CONFIG, settings(peft_type="PREFIX_TUNING")),
        (CONFIG, settings(target_modules=["nope"])),
    ],
)
def test_a_damaged_adapter_is_refused(
    adapter_bundle: Bundle, tmp_path: Path, name: str, edit: Edit | None
) -> None:
    folder = Path(shutil.copytree(adapter_bundle.folder, tmp_path / "bundle"))
    path = folder / "adapter" / adapter_bundle.manifest.name / name
    if edit is None:
        path.unlink()
    else:
        path.write_bytes(edit(path.read_bytes()))
    seal(folder, adapter_bundle.manifest)
    with pytest.raises(BundleError, match="bundle"):
        load_model(open_bundle(folder))
