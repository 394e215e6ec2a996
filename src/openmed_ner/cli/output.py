"""Where the command line writes: standard output, files replaced in one move, messages on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from openmed_ner.errors import InputError

if TYPE_CHECKING:
    from openmed_ner.text import Document

_SCORE = 5


def complain(error: Exception | str) -> None:
    """Print a message on standard error."""
    print(f"openmed-ner: {_printable(str(error), keep_lines=True)}", file=sys.stderr)


def print_json(record: object) -> None:
    """Print a JSON object for a program to read."""
    print(json.dumps(record, indent=1, ensure_ascii=False))


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """Open standard output, or a file that appears only once it is complete.

    Raises:
        InputError: the file's folder does not exist or cannot be written to.
    """
    if path is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()
        return
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file to write to")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        file = partial.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_table(documents: Iterable[Document], file: TextIO) -> None:
    """Write a heading per document and a line per entity, for people to read.

    Control characters of a text are shown escaped, so that no text can steer the terminal.
    """
    for document in documents:
        n_found = len(document.spans)
        file.write(f"{_printable(document.id)}  ({n_found} {'entity' if n_found == 1 else 'entities'})\n")
        width, wide = (
            max((len(each) for each in column), default=0)
            for column in (
                [str(span.end) for span in document.spans],
                [span.label for span in document.spans],
            )
        )
        for span in document.spans:
            place = f"{span.start:>{width}}-{span.end:<{width}}"
            score = "" if span.score is None else f"{span.score:.2f}"
            mention = _printable(document.mention(span))
            file.write(
                f"  {place}  {span.label:<{wide}}  {score:<{_SCORE}} {mention}  [{span.corpus or '-'}]\n"
            )


def _printable(text: str, *, keep_lines: bool = False) -> str:
    allowed = "\n" if keep_lines else ""
    return "".join(
        character
        if character.isprintable() or character in allowed
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
