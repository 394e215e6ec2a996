"""Output of the command line: standard output, files that are complete or absent, messages.

Texts and names come from untrusted files, so control characters are escaped before a terminal sees them.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from openmed_ner.errors import InputError, RunError
from openmed_ner.storage import atomic_file, check_uncompressed, is_stream

if TYPE_CHECKING:
    from openmed_ner.text import Document

_SCORE_WIDTH = 5
_OF_LINKS = ("identifier", "preferred_name", "linked_by", "link_score", "candidates")
"""Attributes of a link to a concept."""
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def complain(error: Exception | str) -> None:
    """Print a message on standard error."""
    print(f"openmed-ner: {printable(str(error), keep_lines=True)}", file=sys.stderr)


def print_json(record: object) -> None:
    """Print a record as JSON."""
    with open_output(None) as file:
        file.write(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def check_outputs(outputs: Mapping[str, Path | None], *, inputs: Iterable[Path] = ()) -> None:
    """Refuse output files that would replace an input or each other, or be named as compressed ones.

    Args:
        outputs: files by the names of their options; ``None`` for one that is not written.
        inputs: files that the command reads.

    Raises:
        InputError: two of the paths lead to the same file, or a name ends in ``.gz``.
    """
    owners = {os.path.realpath(path): "an input" for path in inputs}
    for option, path in outputs.items():
        if path is None or is_stream(path):
            continue
        check_uncompressed(path)
        place = os.path.realpath(path)
        if place in owners:
            raise InputError(f"{option} {path} is the file of {owners[place]}, too; name another one")
        owners[place] = option


def check_stdout() -> None:
    """Refuse to write to standard output if the shell has closed it.

    Raises:
        InputError: it is closed.
    """
    if sys.stdout is None:
        raise InputError("standard output is closed; name a file for the output")


@contextmanager
def open_output(path: Path | None) -> Iterator[TextIO]:
    """Open standard output, or a file that appears only once it is complete.

    Args:
        path: file to write, see :func:`openmed_ner.storage.atomic_path`; standard output if ``None``.

    Raises:
        InputError: standard output is closed; or the path is a directory, or its directory does not exist or
            is not writable.
        RunError: the disk is full.
    """
    if path is None:
        check_stdout()
        # Texts keep their line ends and characters, whatever the platform's defaults are.
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()
        return

    if path.is_dir():
        raise InputError(f"cannot write {path}: it is a directory; name a file")
    opened = False
    try:
        with atomic_file(path) as file:
            opened = True
            yield file
    except OSError as error:
        if opened and error.errno in _NO_SPACE:
            raise RunError(f"cannot write {path}: {error.strerror}") from error
        if opened:  # the block failed to read something else
            raise
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def write_output(text: str, path: Path | None) -> None:
    """Write a text to a file, or to standard output if ``path`` is ``None``."""
    with open_output(path) as file:
        file.write(text)


def write_table(documents: Iterable[Document], file: TextIO) -> None:
    """Write a heading per document and a line per entity, for people to read."""
    for document in documents:
        # Identifiers and mentions come from files: printable() keeps them from steering the terminal.
        n_entities = len(document.spans)
        file.write(f"{printable(document.id)}  ({n_entities} {_noun(n_entities)})\n")

        end_width = max((len(str(span.end)) for span in document.spans), default=0)
        label_width = max((len(span.label) for span in document.spans), default=0)
        for span in document.spans:
            position = f"{span.start:>{end_width}}-{span.end:<{end_width}}"
            score = "" if span.score is None else f"{span.score:.2f}"
            mention = printable(document.mention(span))
            marks = _describe(span.attributes)
            file.write(
                f"  {position}  {span.label:<{label_width}}  {score:<{_SCORE_WIDTH}} {mention}"
                f"  [{span.corpus or '-'}]{'  ' if marks else ''}{printable(', '.join(marks))}\n"
            )


def _describe(attributes: Sequence[tuple[str, str | bool]]) -> list[str]:
    """Attributes in few words: of a link, the identifier and its name, without the way it was found."""
    named = dict(attributes)
    identifier, name = named.get("identifier"), named.get("preferred_name")
    link = [f"{identifier} {name}" if name else str(identifier)] if identifier else []
    shown = ((key, value) for key, value in attributes if not identifier or key not in _OF_LINKS)
    return [*link, *(key if value is True else f"{key}: {value}" for key, value in shown)]


def write_summary(documents: Iterable[Document], file: TextIO) -> None:
    """Write the number of occurrences of each mention, by type, for people to read.

    Mentions that differ in case or white space are counted together, as the first of them is written.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    shown: dict[str, str] = {}
    n_documents = 0
    for document in documents:
        n_documents += 1
        for span in document.spans:
            mention = " ".join(document.mention(span).split())
            key = mention.casefold()
            shown.setdefault(key, printable(mention))
            counts[span.label][key] += 1

    n_entities = sum(map(Counter.total, counts.values()))
    documents_noun = "document" if n_documents == 1 else "documents"
    file.write(f"{n_documents:,} {documents_noun}, {n_entities:,} {_noun(n_entities)}\n")
    for label in sorted(counts, key=lambda label: (-counts[label].total(), label)):
        file.write(f"\n{label}  {counts[label].total():,}\n")
        for key, count in sorted(counts[label].items(), key=lambda item: (-item[1], item[0])):
            file.write(f"  {count:>7,}  {shown[key]}\n")


def _noun(n_entities: int) -> str:
    return "entity" if n_entities == 1 else "entities"


def printable(text: str, *, keep_lines: bool = False) -> str:
    """Escape the control characters of a text.

    Args:
        text: any text.
        keep_lines: if true, line feeds stay.
    """
    allowed = "\n" if keep_lines else ""
    return "".join(
        character
        if character.isprintable() or character in allowed
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
