"""What the pages say is run: Python blocks, commands, links and generated tables."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

from openmed_ner.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://)([^)#]+)\)")


def load_tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_tables", ROOT / "tools/write_tables.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in PYTHON.findall(page.read_text(encoding="utf-8")):
        exec(compile(block, str(page), "exec"), {"__name__": "page"})


@pytest.mark.parametrize("module", ["openmed_ner", "openmed_ner.inference.tagger"])
def test_examples_in_docstrings_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted and not result.failed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_parse(page: Path) -> None:
    """Every `openmed-ner` line names a command and options that exist; the tagging ones are also run."""
    from typer.main import get_command

    root = get_command(app)
    for block in CONSOLE.findall(page.read_text(encoding="utf-8")):
        for line in block.splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if "openmed-ner" not in words or "clone" in words:
                continue
            words = words[words.index("openmed-ner") + 1 :]
            words = words[: next((i for i, word in enumerate(words) if word in (">", "|")), len(words))]
            command, context = root, root.make_context("openmed-ner", [], resilient_parsing=True)
            while hasattr(command, "commands"):
                command = command.commands[words.pop(0)]
            command.parse_args(type(context)(command, parent=context), words)


def test_commands_that_need_nothing_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    for name in ("abstract.txt", "notes/one.txt"):
        (tmp_path / name).write_text("Cisplatin caused nephrotoxicity.", encoding="utf-8")
    for command in (
        "tag abstract.txt",
        "tag notes/ --to jsonl -o entities.jsonl",
        "tag abstract.txt --types Chemical --threshold 0.8 --to html",
        "bundles info",
        "bundles verify",
    ):
        pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
        assert command.split(" -")[0].removeprefix("tag abstract.txt") in pages
        monkeypatch.setattr(sys, "argv", ["openmed-ner", *shlex.split(command)])
        app(standalone_mode=False)
    assert "nephrotoxicity" in (tmp_path / "entities.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_tables_say_what_the_results_say() -> None:
    tables = load_tables()
    for page in tables.PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert tables.BLOCK.search(text)
        assert tables.render(text) == text, f"{page}: run python tools/write_tables.py"
