"""Files of a run are checked before they are believed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from openmed_ner.errors import RunError
from openmed_ner.training.engine.history import History, read_tensors, write_tensors
from openmed_ner.training.engine.log import LOG, RunLog

CPU = torch.device("cpu")
TENSORS = {"weight/a": torch.arange(6.0).reshape(2, 3), "optimizer/step/a": torch.tensor(3.0)}
METADATA = {"fingerprint": "x"}


def test_tensors_come_back(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write_tensors(path, {**TENSORS, "half": torch.ones(2, dtype=torch.bfloat16).t()}, METADATA)
    tensors, metadata = read_tensors(path, CPU)
    assert metadata == METADATA and tensors.keys() == TENSORS.keys() | {"half"}
    assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write_tensors(path, TENSORS, METADATA)
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        try:
            tensors, metadata = read_tensors(path, CPU)
        except RunError as error:
            assert "remove the file to start over" in str(error)
        else:  # the name of the digest itself: the rest is as it was
            assert {name: value for name, value in metadata.items() if name in METADATA} == METADATA
            assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())


def test_a_renamed_tensor_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write_tensors(path, TENSORS, METADATA)
    tensors = load_file(path)
    tensors["weighs/a"] = tensors.pop("weight/a")
    save_file(tensors, path, {**METADATA, "sha256": "0" * 64})
    with pytest.raises(RunError, match="another SHA-256"):
        read_tensors(path, CPU)


def test_a_file_of_an_earlier_version_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_file(TENSORS, path, METADATA)
    assert read_tensors(path, CPU)[1] == METADATA


def test_a_history_comes_back_and_a_damaged_one_does_not() -> None:
    history = History(step=3, losses=[0.5], scores=[{"score": 0.1}], best_epoch=0)
    assert History.from_json(json.dumps(asdict(history))) == history
    for text in ("", "[]", "{}", json.dumps({**asdict(history), "stop": 3}), '{"energy": 3}'):
        with pytest.raises((ValueError, TypeError, KeyError)):
            History.from_json(text)
    with pytest.raises(TypeError, match="whole number"):
        History.from_json(json.dumps({**asdict(history), "step": "3"}))
    for change in ({"losses": ["x"]}, {"scores": [{"score": None}]}, {"seconds": "1"}, {"best_epoch": 1}):
        with pytest.raises((TypeError, ValueError)):
            History.from_json(json.dumps(asdict(history) | change))


def test_a_log_may_be_cut_short_and_not_damaged(tmp_path: Path) -> None:
    lines = [json.dumps({"step": step, "epoch": 0}).encode() for step in (1, 2, 3)]
    path = tmp_path / LOG
    path.write_bytes(b"\n".join([*lines, b'{"step": 4, "ep\xff']))
    RunLog(tmp_path).rewind(steps=2, evaluations=0)
    assert path.read_bytes().splitlines() == lines[:2]
    for bad in (b"\xff", b"[]", b'{"epoch": 0}', b"{"):
        path.write_bytes(b"\n".join([lines[0], bad, lines[1]]))
        with pytest.raises(RunError, match="line 2: damaged"):
            RunLog(tmp_path).rewind(steps=2, evaluations=0)
