"""The table of commands and the help, as users see them."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

import openmed_ner.cli
from openmed_ner.cli.app import COMMANDS, Entry, Group, LazyGroup, app

FOLDER = Path(openmed_ner.cli.__file__).parent
ENTRIES: dict[tuple[str, ...], Entry] = {}
for name, entry in COMMANDS.items():
    if isinstance(entry, Group):
        ENTRIES.update({(name, below): row for below, row in entry.entries.items()})
    else:
        ENTRIES[(name,)] = entry
NAMES = sorted({(), *ENTRIES, *(path[:1] for path in ENTRIES)})


def find_function(entry: Entry) -> Any:
    module, _, function = entry.target.partition(":")
    return getattr(import_module(f"openmed_ner.cli.{module}"), function)


def find_command(path: tuple[str, ...]) -> Any:
    command: Any = get_command(app)
    for name in path:
        command = command.load(name)
    return command


def raw_texts(command: Any) -> Iterator[str]:
    """Yield what a command's help is made of, as the code has it."""
    yield command.help or ""
    yield from (parameter.help or "" for parameter in command.params)
    if isinstance(command, LazyGroup):
        yield from (below.help for below in command.commands.values())


def words(text: str) -> str:
    """A text without frames, colours and line breaks."""
    return " ".join(re.sub(r"\x1b\[[\d;]*m|[│╭╮╰╯─]", " ", text).split())


@pytest.mark.parametrize("path", ENTRIES, ids=" ".join)
def test_the_table_says_what_the_command_says(path: tuple[str, ...]) -> None:
    summary = (inspect.getdoc(find_function(ENTRIES[path])) or "").partition("\n\n")[0]
    assert ENTRIES[path].help == summary
    assert "[" not in summary


@pytest.mark.parametrize("path", ENTRIES, ids=" ".join)
def test_every_command_has_an_example_that_parses(path: tuple[str, ...]) -> None:
    _, _, example = (inspect.getdoc(find_function(ENTRIES[path])) or "").partition("Example:\n")
    program, *words = shlex.split(example)
    assert program == "openmed-ner" and words[: len(path)] == list(path)
    find_command(path).make_context(path[-1], words[len(path) :])


def test_listing_the_commands_imports_none_of_them() -> None:
    code = (
        "import sys\n"
        "from openmed_ner.cli.app import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "app(['bundles', '--help'], standalone_mode=False)\n"
        "print('loaded:', *(name for name in sys.modules if name.startswith('openmed_ner')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.partition("loaded:")[2].split())
    light = ("cli", "cli.app", "cli.main", "cli.output", "cli.values", "errors", "offline", "storage")
    assert loaded == {"openmed_ner", *(f"openmed_ner.{name}" for name in light)}
    for path in NAMES[1:]:
        assert path[-1] in done.stdout or len(path) == 2


@pytest.mark.parametrize("path", NAMES, ids=lambda path: " ".join(path) or "openmed-ner")
def test_help_shows_every_word_of_the_code(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rich takes ``[search]`` for the name of a style and drops it, unless it is escaped."""
    monkeypatch.setenv("COLUMNS", "2000")
    app([*path, "--help"], standalone_mode=False)
    shown = words(capsys.readouterr().out)
    assert shown.startswith("Usage:")
    for text in raw_texts(find_command(path)):
        for paragraph in text.split("\n\n"):
            assert words(paragraph) in shown


def test_the_table_of_a_search_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app(["train", "--help"], standalone_mode=False)
    assert "[search]" in words(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("tag --from pdf", "'pdf' is not one of 'auto', 'text'"),
        ("tag --to pdf", "'pdf' is not one of 'table', 'summary'"),
        ("tag --engine cloud", "'cloud' is not one of 'local', 'ray'"),
        ("tag --backend torch", "'torch' is not one of 'onnxruntime', 'openvino'"),
        ("pretrain x -o y --method half", "'half' is not one of 'lora', 'full'"),
        ("pretrain x -o y --licences mine", "'mine' is not one of 'all', 'permissive'"),
        ("train -o y --device tpu", "'tpu' is not one of 'auto', 'cpu', 'cuda'"),
        ("passages x -o y --guard some", "'some' is not one of 'catalog', 'available', 'nothing'"),
        ("train -o y --from pdf", "'pdf' is not one of 'text', 'jsonl'"),
        ("evaluate --split trial", "'trial' is not one of 'train', 'dev', 'test'"),
        ("evaluate --protocol word,token", "'token' is not one of 'mention', 'word', 'subword'"),
        ("bundles export x -o y --precision fp8", "'fp8' is not one of 'fp32', 'int8', 'int8-static'"),
        ("reproduce x -o y --device abacus", "'abacus' is not one of 't4', 'l4'"),
        ("tag --add context,colour", "'colour' is not one of 'abbreviations', 'context'"),
    ],
)
def test_a_choice_that_does_not_exist_is_a_usage_error(arguments: str, message: str) -> None:
    with pytest.raises(typer.BadParameter, match=message) as raised:
        app(arguments.split(), standalone_mode=False)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("openmed-ner tr", {"train"}),
        ("openmed-ner bundles ex", {"export"}),
        ("openmed-ner tag --lay", {"--layers"}),
    ],
)
def test_shells_complete_commands_and_options(
    words: str, expected: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_OPENMED_NER_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    with pytest.raises(SystemExit) as ended:
        app([], prog_name="openmed-ner")
    assert ended.value.code == 0
    assert set(capsys.readouterr().out.split()) == expected
