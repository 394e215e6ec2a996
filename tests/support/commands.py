"""Run commands in this process, because starting Python for each takes longer than all of them."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from openmed_ner.cli.app import app
from openmed_ner.cli.main import main


def invoke(*arguments: str | Path) -> None:
    """Run a command whose errors are raised, with the streams of the test."""
    app([*map(str, arguments)], standalone_mode=False)


def call_main(words: Sequence[str], stdin: bytes, stdout: io.BytesIO, stderr: io.BytesIO) -> int:
    """Run a command line, the program's name first, with streams of its own; return the exit status."""
    streams = [io.TextIOWrapper(stream, "utf-8", write_through=True) for stream in (stdout, stderr)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(words))
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        patch.setattr(sys, "stdout", streams[0])
        patch.setattr(sys, "stderr", streams[1])
        try:
            main()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 0
        finally:
            for stream in streams:
                stream.detach()  # else it closes what it writes to
    return 0
