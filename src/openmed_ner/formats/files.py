"""Open text files as they are, and say where one is not UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from openmed_ner.errors import CorpusFormatError, InputError


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a UTF-8 file as it is, line ends included.

    Raises:
        InputError: the file cannot be opened.
        CorpusFormatError: while reading, it turns out not to be UTF-8.
    """
    try:
        file = path.open(encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        try:
            yield file
        except UnicodeDecodeError as error:
            raise CorpusFormatError(
                f"{path}: not UTF-8: {_locate(path)}. Convert it, for example: iconv -f latin1 -t utf-8"
            ) from error


def _locate(path: Path) -> str:
    """Say where a file stops being UTF-8; the decoder itself only knows the place in its buffer."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return (
                    f"byte 0x{line[error.start]:02x} in line {number}, at byte {error.start + 1} of the line"
                )
    return "an invalid byte"
