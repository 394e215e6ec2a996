"""A run whose files were damaged says so when it is resumed, and never trains on from other weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from openmed_ner.errors import RunError
from openmed_ner.training.engine.log import LOG
from openmed_ner.training.engine.loop import BEST, CHECKPOINT
from openmed_ner.training.finetune import finetune
from tiny import CORPORA, make_recipe


@pytest.fixture(scope="module")
def finished(backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    finetune(make_recipe(backbone, epochs=1), CORPORA, folder, name="tiny")
    return folder


def flip(path: Path, share: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(share * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def rewrite(path: Path, change: Callable[[dict[str, object], dict[str, str]], object]) -> None:
    """Change the tensors and the metadata of a file of an earlier version, which has no digest."""
    tensors = dict(load_file(path))
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    del metadata["sha256"]
    change(tensors, metadata)
    save_file(tensors, path, metadata)


def edit_history(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        def change_metadata(_: object, metadata: dict[str, str]) -> None:
            history = json.loads(metadata["history"])
            change(history)
            metadata["history"] = json.dumps(history)

        rewrite(path, change_metadata)

    return edit


ANY_FILE: dict[str, Callable[[Path], object]] = {
    "a flipped bit early": lambda path: flip(path, 0.3),
    "a flipped bit in the middle": lambda path: flip(path, 0.5),
    "a flipped bit at the end": lambda path: flip(path, 1.0),
    "a flipped bit in the header": lambda path: flip(path, 0.0),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "a tensor renamed": lambda path: rewrite(
        path, lambda tensors, _: tensors.update({"weighs/x": tensors.pop(min(tensors))})
    ),
    "a tensor missing": lambda path: rewrite(path, lambda tensors, _: tensors.pop(max(tensors))),
}
CHECKPOINT_ONLY: dict[str, Callable[[Path], object]] = {
    "no history": lambda path: rewrite(path, lambda _, metadata: metadata.pop("history")),
    "a history that is no JSON": lambda path: rewrite(path, lambda _, data: data.update(history="{")),
    "a history that is a list": lambda path: rewrite(path, lambda _, data: data.update(history="[]")),
    "a key of the history renamed": edit_history(lambda history: history.update(stop=history.pop("step"))),
    "a number of the history that is a text": edit_history(lambda history: history.update(step="3")),
}


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *(pytest.param(CHECKPOINT, damage, id=f"checkpoint, {key}") for key, damage in ANY_FILE.items()),
        *(pytest.param(CHECKPOINT, damage, id=key) for key, damage in CHECKPOINT_ONLY.items()),
        *(pytest.param(BEST, damage, id=f"best, {key}") for key, damage in ANY_FILE.items()),
        pytest.param(BEST, Path.unlink, id="no best"),
    ],
)
def test_a_damaged_file_of_a_run_is_refused(
    finished: Path, backbone: Path, tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    damage(folder / name)
    with pytest.raises(RunError, match=rf"cannot read .*{name}: .*; remove the file to start over"):
        finetune(make_recipe(backbone, epochs=1), CORPORA, folder, name="tiny", resume=True)


@pytest.mark.parametrize("line", [b"\xff\xfe", b"[]", b'{"epoch": 0}', b"{", b"\0"])
def test_a_damaged_log_of_a_run_is_refused(
    finished: Path, backbone: Path, tmp_path: Path, line: bytes
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / LOG).write_bytes(line + b"\n" + (folder / LOG).read_bytes())
    with pytest.raises(RunError, match="line 1: damaged"):
        finetune(make_recipe(backbone, epochs=1), CORPORA, folder, name="tiny", resume=True)
