"""What the pages say is run: Python blocks, commands, links and generated tables."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import BertConfig, BertModel

from openmed_ner.cli.app import LazyGroup, app
from openmed_ner.formats import FOLDER_WRITERS, WRITERS
from openmed_ner.inference.tagger import Tagger
from openmed_ner.model import backbones
from openmed_ner.storage import sha256_file
from openmed_ner.text import Document
from openmed_ner.training.config import PretrainRecipe, Recipe
from openmed_ner.training.recipes import read_recipe
from pages import ROOT, Terminal, agrees, load_tool, read_blocks
from sentences import DOCUMENTS, only, tiny_tokenizer

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
TOML = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://)([^)#]+)\)")
TEXTS = {
    "abstract.txt": "Cisplatin-induced nephrotoxicity was seen in 3 of 40 patients.\n",
    "notes/one.txt": "Aspirin reduced the risk of myocardial infarction.\n",
    "notes/two.txt": "A girl with ataxia was given phenytoin.\n",
    "visits.tsv": "visit\tnote\n7\tAspirin for angina pectoris.\n",
    "broken.jsonl": '{"text": 3}\n',
    "page.html": "<html><body>Aspirin</body></html>\n",
}
ANNOTATED: dict[str, tuple[Document, ...]] = {
    "train.csv": DOCUMENTS[:5],
    "dev.csv": DOCUMENTS[5:],
    "test.csv": DOCUMENTS,
    "gold.jsonl": only("Disease"),
    "mine.jsonl": only("Disease"),
    "theirs.jsonl": (*only("Disease")[:6], *(each.with_spans(()) for each in DOCUMENTS[6:])),
    "theirs.xml": only("Disease"),
    "articles.xml": DOCUMENTS,
    "corrected.json": only("Disease"),
    "annotations/train": DOCUMENTS[:5],
    "annotations/dev": DOCUMENTS[5:],
    "annotations/test": DOCUMENTS,
}
"""The files that pages name: whoever names another adds it here."""
TRAINING = {"docs/train.md", "docs/performance.md"}
"""Pages whose commands take seconds of processor time."""
FORMATS = {".xml": "bioc-xml", ".json": "label-studio"}
"""Formats of these files that are not named as their suffix."""


def pages_with(pattern: re.Pattern[str]) -> list[Path]:
    return [page for page in PAGES if pattern.search(page.read_text(encoding="utf-8"))]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture(scope="session")
def embedded() -> Tagger:
    return Tagger.load()


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedded: Tagger) -> Terminal:
    """A folder with the files that the pages name, no corpora, and the embedded model loaded once for all."""
    load = Tagger.load
    monkeypatch.setattr(
        Tagger, "load", lambda bundle=None, **how: embedded if bundle is None else load(bundle, **how)
    )
    monkeypatch.setattr("openmed_ner.cli.bench.COPIES", 1)  # enough for a page that shows no number
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name, documents in ANNOTATED.items():
        path = tmp_path / name
        if not path.suffix:
            FOLDER_WRITERS["brat"](documents, path)
            continue
        with path.open("w", encoding="utf-8", newline="\n") as file:
            WRITERS[FORMATS.get(path.suffix, path.suffix[1:])](documents, file)
    monkeypatch.delenv("OPENMED_NER_CORPORA", raising=False)
    return Terminal(tmp_path, monkeypatch)


@pytest.fixture
def random_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small random encoder in the place of the one that recipes begin with."""
    folder = tmp_path / "backbones/minilm-l6"
    tokenizer = tiny_tokenizer()
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=tokenizer.get_vocab_size(), **sizes)).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    sha256 = sha256_file(folder / "model.safetensors")
    row = replace(backbones.BACKBONES["minilm-l6"], sha256=sha256, standard=False)
    monkeypatch.setattr(backbones, "BACKBONES", {row.name: row})
    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(folder.parent))


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a running service."""
    command = [sys.executable, "-m", "openmed_ner", "serve", "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, cwd=tmp_path_factory.mktemp("run"), **pipes) as process:
        assert process.stdout
        yield process.stdout.readline().rpartition("//")[2].strip()
        process.terminate()


@pytest.mark.parametrize("page", pages_with(PYTHON), ids=name_of)
def test_python_blocks_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in PYTHON.findall(page.read_text(encoding="utf-8")):
        exec(compile(block, str(page), "exec"), {"__name__": "page"})


@pytest.mark.parametrize("module", ["openmed_ner", "openmed_ner.inference.tagger"])
def test_examples_in_docstrings_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted and not result.failed


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name_of(page), marks=[pytest.mark.slow] if name_of(page) in TRAINING else [])
        for page in pages_with(re.compile("^```console", re.MULTILINE))
    ],
)
def test_commands_do_what_the_page_shows(
    page: Path, terminal: Terminal, random_backbone: None, request: pytest.FixtureRequest
) -> None:
    """The blocks of a page are run in turn, in one folder; a comment before a block says why it is not."""
    for reason, commands in read_blocks(page.read_text(encoding="utf-8")):
        if reason:
            continue
        if any(each.line.startswith("curl ") for each in commands):
            if shutil.which("curl") is None:
                pytest.skip("curl is not installed")
            terminal.words["127.0.0.1:8765"] = request.getfixturevalue("service")
        for command in commands:
            printed = terminal.run(command.line)
            assert command.may_fail or not terminal.status, f"{command.line}\n{printed}"
            assert not command.shown or agrees(command.shown, printed), f"{command.line}\n{printed}"


@pytest.mark.parametrize(
    ("shown", "printed", "agree"),
    [
        ("Aspirin  0.93", "Aspirin  0.92\n", True),
        ("Aspirin  0.93", "Stroke  0.93\n", False),
        ("3 files, …", "3 files, 2 of them large\nand a line\n", True),
        ("3 files, …", "4 files, 2 of them large\n", False),
        ("12-18  Disease", "12-19  Disease", False),
    ],
)
def test_output_agrees_but_for_scores_and_what_is_left_out(shown: str, printed: str, agree: bool) -> None:
    assert agrees(shown, printed) is agree


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_parse(page: Path) -> None:
    """Every ``openmed-ner`` line, run or not, names a command and options that exist."""
    from typer.main import get_command

    root = get_command(app)
    for _, commands in read_blocks(page.read_text(encoding="utf-8")):
        for each in commands:
            words = shlex.split(each.line, comments=True)
            if "openmed-ner" not in words:
                continue
            words = words[words.index("openmed-ner") + 1 :]
            words = words[: next((i for i, word in enumerate(words) if word in (">", "|")), len(words))]
            command, context = root, root.make_context("openmed-ner", [], resilient_parsing=True)
            while isinstance(command, LazyGroup):
                command = command.load(words.pop(0))
            command.parse_args(type(context)(command, parent=context), words)


@pytest.mark.parametrize("page", pages_with(TOML), ids=name_of)
def test_recipes_are_recipes(page: Path, tmp_path: Path) -> None:
    for block in TOML.findall(page.read_text(encoding="utf-8")):
        (tmp_path / "recipe.toml").write_text(block, encoding="utf-8")
        read_recipe(
            tmp_path / "recipe.toml", kind=PretrainRecipe if page.name == "pretraining.md" else Recipe
        )


@pytest.mark.parametrize("page", pages_with(LINK), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_tables_say_what_the_results_say() -> None:
    tables = load_tool("write_tables")
    for page in tables.PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert tables.BLOCK.search(text)
        assert tables.render(text) == text, f"{page}: run python tools/write_tables.py"


def test_reference_says_what_the_code_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # the width of a terminal makes no difference
    reference = load_tool("write_reference")
    for name, write in reference.PAGES.items():
        written = (reference.FOLDER / name).read_text(encoding="utf-8")
        assert written == write(), f"{name}: run python tools/write_reference.py"
