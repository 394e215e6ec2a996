"""Several processes compute what one does; as a script, this file is what a launcher starts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file

from openmed_ner.bundle import open_bundle
from openmed_ner.errors import InputError, RecipeError, RunError
from openmed_ner.training.config import LoraSettings, PretrainRecipe, Recipe, Schedule
from openmed_ner.training.engine.log import LOG
from openmed_ner.training.engine.loop import BEST, CHECKPOINT, StepReport
from openmed_ner.training.engine.precision import autocast_dtype
from openmed_ner.training.engine.processes import Processes, join
from openmed_ner.training.finetune import finetune
from openmed_ner.training.pretrain import pretrain
from openmed_ner.training.search import search
from pages import SUPPORT
from sentences import DOCUMENTS
from tiny import CORPORA, make_recipe

COMMAND = [sys.executable, "-m", "openmed_ner"]


class StoppedError(Exception):
    pass


def make_recipes(backbone: Path) -> dict[str, Recipe | PretrainRecipe]:
    """Runs that must not depend on the number of processes; dropout and masks are random in each."""
    lora = make_recipe(backbone, epochs=2, dropout=0.1, accumulate=2, average=0.9)
    half = replace(lora, schedule=replace(lora.schedule, precision="fp16", average=0.0))
    full = make_recipe(backbone, epochs=2, dropout=0.1, accumulate=3, learning_rate=1e-3)
    masked = PretrainRecipe(
        backbone=str(backbone),
        subwords=2_000,
        head_subwords=800,
        window=40,
        held_out=3,
        lora=LoraSettings(rank=4, alpha=8.0, targets="all-linear"),
        schedule=Schedule(epochs=2, batch_subwords=80, accumulate=2, dropout=0.1, precision="fp32"),
    )
    whole = replace(full, method="full")
    return {"lora": lora, "fp16": half, "full": whole, "masked": masked, "resumed": lora}


def run(recipe: Recipe | PretrainRecipe, passages: Path, folder: Path, *, stop_after: int = -1) -> None:
    def stop(report: StepReport) -> None:
        if report.step == stop_after:
            raise StoppedError

    options: dict[str, Any] = {"name": "tiny", "resume": True, "checkpoint_seconds": 0.0}
    if isinstance(recipe, PretrainRecipe):
        pretrain(recipe, passages, folder, **options)
    else:
        finetune(recipe, CORPORA, folder, **options, on_step=stop)


def environment(**values: str) -> dict[str, str]:
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": path, **values}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def both(backbone: Path, passages: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of the same runs by one process, and by two under a launcher."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    for name, recipe in make_recipes(backbone).items():
        run(recipe, passages, one / name)
    with pytest.raises(StoppedError):
        run(make_recipes(backbone)["resumed"], passages, two / "resumed", stop_after=3)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launcher += ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    command = [*launcher, __file__, str(backbone), str(passages), str(two)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return one, two


def read_log(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def iter_files(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lora", "fp16", "masked", "resumed"])
def test_two_processes_compute_what_one_does(both: tuple[Path, Path], name: str) -> None:
    """To the last bit: of two gradients there is one sum, whoever adds them."""
    one, two = (folder / name for folder in both)
    assert read_log(one) == read_log(two)
    assert list(iter_files(one)) == list(iter_files(two)), "one set of files"
    for path in one.rglob("*.safetensors"):
        if path.name != CHECKPOINT:  # the time is in it
            assert path.read_bytes() == (two / path.relative_to(one)).read_bytes(), path.name
    records = [open_bundle(folder / "bundle").read_json("run.json") for folder in (one, two)]
    assert [record["processes"]["count"] for record in records] == [1, 2]


@pytest.mark.slow
def test_three_batches_on_two_processes_differ_by_rounding(both: tuple[Path, Path]) -> None:
    """The sum of three depends on their order in its last bits, and Adam's division carries these on."""
    one, two = (folder / "full" for folder in both)
    for first, second in zip(read_log(one), read_log(two), strict=True):
        assert first.get("loss", 0.0) == pytest.approx(second.get("loss", 0.0), rel=1e-5)
        assert first["subwords"] == second["subwords"]
    weights = load_file(two / BEST)
    for key, value in load_file(one / BEST).items():
        torch.testing.assert_close(weights[key], value, rtol=1e-4, atol=2e-5)


@pytest.mark.slow
def test_the_loss_scale_of_fp16_is_kept(both: tuple[Path, Path]) -> None:
    for folder in both:
        with safe_open(folder / "fp16" / CHECKPOINT, framework="pt") as file:
            assert json.loads(file.metadata()["scale"])["scale"] >= 1
        with safe_open(folder / "lora" / CHECKPOINT, framework="pt") as file:
            assert "scale" not in file.metadata()
    assert autocast_dtype("fp16") is torch.float16 and autocast_dtype("fp32") is None


@pytest.mark.slow
def test_a_killed_process_ends_the_other_and_the_run_goes_on(backbone: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from openmed_ner.cli.app import app
    from openmed_ner.formats.jsonl import write_jsonl

    with (tmp_path / "train.jsonl").open("w", encoding="utf-8") as file:
        write_jsonl([replace(document, text=f"{document.text} ") for document in DOCUMENTS], file)
    with (tmp_path / "dev.jsonl").open("w", encoding="utf-8") as file:
        write_jsonl(DOCUMENTS, file)
    settings = ["epochs=12", "patience=12", "accumulate=2", "batch_subwords=32", "precision=fp32"]
    words = ["train", "--data", str(tmp_path / "train.jsonl"), "--dev", str(tmp_path / "dev.jsonl")]
    words += ["--backbone", str(backbone)]
    words += [
        word for setting in ("window=80", "overlap=16", "leave_out=nothing") for word in ("--set", setting)
    ]
    words += [word for setting in settings for word in ("--set", f"schedule.{setting}")]
    launched = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    launched |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            [*COMMAND, *words, "-o", str(tmp_path / "run")],
            env=environment(**launched, RANK=str(rank), LOCAL_RANK=str(rank)),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / CHECKPOINT).exists():
        assert processes[0].poll() is None, processes[0].communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(processes[1].pid, signal.SIGKILL)
    _, message = processes[0].communicate(timeout=60)
    processes[1].communicate()
    assert processes[0].returncode == 1
    assert "another process of this run has ended" in message and "--resume" in message
    assert not (tmp_path / "run/bundle").exists()
    for folder in ("run", "whole"):
        result = CliRunner().invoke(app, [*words, "-o", str(tmp_path / folder), "--resume"])
        assert result.exit_code == 0, result.output
    assert read_log(tmp_path / "run") == read_log(tmp_path / "whole")
    assert (tmp_path / "run" / BEST).read_bytes() == (tmp_path / "whole" / BEST).read_bytes()


@given(n_items=st.integers(0, 20), count=st.integers(1, 6))
def test_every_item_goes_to_one_process(n_items: int, count: int) -> None:
    shares = [list(Processes(index, count).share(range(n_items))) for index in range(count)]
    assert sorted(pair for share in shares for pair in share) == [(item, item) for item in range(n_items)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_step_needs_a_batch_for_every_process(backbone: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"schedule\.accumulate = 1: .* set it to 2 or more"):
        finetune(make_recipe(backbone), CORPORA, tmp_path, name="tiny", processes=Processes(0, 2))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_named_before_anything_is_read(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from openmed_ner.cli.app import app

    for command in (["train", "--recipe", "missing.toml"], ["pretrain", "missing"]):
        result = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "run"), "--device", "cuda"])
        assert isinstance(result.exception, RunError)
        assert "no CUDA device is visible" in str(result.exception)
    assert join("auto") == join("cpu") == Processes()
    with pytest.raises(InputError, match="unknown device 'tpu'; expected one of auto, cpu, cuda"):
        join("tpu")


def test_a_search_is_not_for_a_launcher(backbone: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="once for each device"):
        search(make_recipe(backbone), CORPORA, tmp_path, name="tiny", processes=Processes(0, 2))


if __name__ == "__main__":
    torch.set_num_threads(1)
    given_backbone, given_passages, target = map(Path, sys.argv[1:])
    for each_name, each_recipe in make_recipes(given_backbone).items():
        run(each_recipe, given_passages, target / each_name)
