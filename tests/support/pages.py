"""The pages' console blocks, run, and what they print compared with what they say.

A line that begins with ``$`` is a command, what follows it is its output. Commands of this package run in the
test's process, others without a shell.
"""

from __future__ import annotations

import importlib.util
import io
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from commands import call_main

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
"""These helpers; a process that a test starts needs them on its path."""
BLOCK = re.compile(r"(?:<!-- not run: ([^>]+) -->\n)?^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
SETUP = ("git", "pip", "make")
"""Commands that set up what a test has already."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a page.

    Attributes:
        line: what is typed.
        shown: what the page says it prints; empty where it does not say.
        may_fail: the page asks for its exit status.
    """

    line: str
    shown: str
    may_fail: bool


def read_blocks(page: str) -> Iterator[tuple[str, list[Command]]]:
    """Yield why each console block is not run, empty if it is, and its commands but for ``SETUP``."""
    for reason, block in BLOCK.findall(page):
        entries = [each.partition("\n") for each in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
        following = [line for line, _, _ in entries[1:]] + [""]
        commands = [
            Command(line, shown, may_fail=after == "echo $?")
            for (line, _, shown), after in zip(entries, following, strict=False)
            if not line.startswith(SETUP)
        ]
        yield reason, commands


def agrees(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed: ``…`` stands for anything, and scores may differ."""
    pattern = re.escape(shown.strip()).replace("…", ".*")
    pattern = re.sub(r"[01]\\\.\d\d\b", r"[01]\\.\\d\\d", pattern)
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


def load_tool(name: str) -> ModuleType:
    """Load a program that writes pages, from ``tools/``."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"tools/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools")
        spec.loader.exec_module(module)
    return module


class Terminal:
    """A folder to work in, the last exit status, and words that stand for others, such as addresses."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.status = 0
        self.words: dict[str, str] = {}
        patch.chdir(folder)

    def run(self, line: str) -> str:
        """Run a line, its pipes and one redirection included, and return what a screen would show."""
        for word, other in {"$?": str(self.status), **self.words}.items():
            line = line.replace(word, other)
        *stages, last = _part(_read_words(line), "|")
        screen, given = io.BytesIO(), b""
        for words in stages:
            self._call(words, given, output := io.BytesIO(), screen)
            given = output.getvalue()
        words, *target = _part(last, ">")
        self._call(words, given, output := io.BytesIO() if target else screen, screen)
        for (name,) in target:
            Path(name).write_bytes(output.getvalue())
        return screen.getvalue().decode()

    def _call(self, words: list[str], given: bytes, output: io.BytesIO, screen: io.BytesIO) -> None:
        if words[0] == "openmed-ner":
            self.status = call_main(words, given, output, screen)
            return
        result = subprocess.run(words, input=given, capture_output=True, check=False)
        output.write(result.stdout)
        screen.write(result.stderr)
        self.status = result.returncode


def _read_words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|>")
    lexer.whitespace_split = True
    return list(lexer)


def _part(words: list[str], separator: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word == separator:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts
