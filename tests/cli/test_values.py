"""Values of options that are kept as they are: what a command gets is what typer would have given it."""

from __future__ import annotations

import inspect
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.cli.test_help import ENTRIES, find_command, find_function
from typer.main import get_command

from openmed_ner.cli import values
from openmed_ner.cli.app import app
from openmed_ner.data import read_examples

MORE = (
    "tag a.txt b.txt --to jsonl -o x --shard 3 --resume --threshold 0.5 --no-document-decoding",
    "tag --link a --link b --species 9606 --engine ray --device cuda --threads 2",
    "tag",
    "train -o x --set schedule.epochs=3 --set seed=1 --seed 4",
    "bundles list a",
    "corpora stats bc2gm --json",
)


def example(function: Any) -> str:
    return str(inspect.getdoc(function)).partition("Example:\n")[2].strip().removeprefix("openmed-ner ")


EXAMPLES = (*(example(find_function(entry)) for entry in ENTRIES.values()), *MORE)


def parse(command: str) -> dict[str, Any]:
    words = shlex.split(command)
    path = tuple(words[:2]) if tuple(words[:2]) in ENTRIES else tuple(words[:1])
    context = find_command(path).make_context(path[-1], words[len(path) :])
    # A command gets a list of whatever parsing left for an option that may be repeated.
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in context.params.items()
    }


@pytest.mark.parametrize("command", EXAMPLES)
def test_values_are_those_of_typer(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = parse(command)
    monkeypatch.setattr("openmed_ner.cli.app.keep_ready_values", lambda parameters, function: None)
    theirs = parse(command)
    assert {name: value or None for name, value in ours.items()} == {
        name: value or None for name, value in theirs.items()
    }
    assert [type(value) for value in ours.values() if value] == [
        type(value) for value in theirs.values() if value
    ]


def test_typer_refuses_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.txt").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(typer.BadParameter, match="is not readable"):
        app(["tag", str(tmp_path / "secret.txt")], standalone_mode=False)


def test_a_required_argument_must_be_given() -> None:
    with pytest.raises(Exception, match="Missing parameter: output") as raised:
        parse("train")
    assert getattr(raised.value, "exit_code", None) == 2


def test_the_help_option_works_with_and_without_a_value() -> None:
    with pytest.raises(typer.Exit):
        parse("tag --help")
    assert "help" not in parse("tag")


@pytest.mark.parametrize("kind", [int, float, bool, dict, None])
def test_other_types_are_left_to_typer(kind: Any) -> None:
    assert values._read(kind, "1") is None


def test_a_run_needs_no_pydantic_and_one_thread_of_numpy(tmp_path: Path) -> None:
    file = tmp_path / "abstract.txt"
    file.write_text(read_examples()[0].text, encoding="utf-8")
    code = (
        "import os, sys\n"
        "from openmed_ner.cli.app import app\n"
        f"app({['tag', str(file), '--to', 'jsonl', '-o', str(tmp_path / 'out')]}, standalone_mode=False)\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'], *sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    threads, *modules = done.stdout.split()
    assert threads == "1"
    unneeded = ("formats.jats", "inference.jobs.job", "tagging.margins")
    assert not {*modules} & {"pydantic", *(f"openmed_ner.{name}" for name in unneeded)}


def test_numpy_keeps_the_threads_that_a_user_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    get_command(app)
    find_command(("tag",))
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"
