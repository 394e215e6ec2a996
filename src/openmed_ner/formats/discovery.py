"""Find files of any known format, and read running text out of them: passages without annotations.

JSON lines and plain text (a passage per paragraph) are read here line by line, public dumps by their own
modules, and all else by the readers of annotated documents, whose spans are dropped. Compressed files are
untrusted, so lines, paragraphs and unpacked documents have a size limit. A folder may hold files of unknown
formats; they are reported, not guessed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from openmed_ner.errors import AnnotationError, CorpusFormatError, InputError, UnreadFormatError
from openmed_ner.formats import PASSAGE_FORMATS, PATH_READERS, REGISTRY, read_documents
from openmed_ner.formats.detection import detect_text_format
from openmed_ner.formats.files import (
    advise_encoding,
    check_kind,
    is_hidden,
    iter_lines,
    locate_byte,
    read_head,
    strip_gz,
)
from openmed_ner.formats.json_values import explain_json
from openmed_ner.formats.passage import Passage
from openmed_ner.formats.recognition import HEAD
from openmed_ner.formats.tolerance import OnBad, fail, require_characters

MAX_LINE = 16 << 20
"""Greatest length of a line in bytes, and of a paragraph in characters."""

OnSkip = Callable[[str], None]


def iter_files(paths: list[Path], *, format: str | None = None) -> Iterator[tuple[Path, str, str | None]]:
    """Find the files to read, in folders recursively and in order of their names.

    Yields:
        Path of the file (or folder, if the format reads folders), its name relative to the given path, and
        its format; ``None`` for a file of a folder that is hidden, or in a
        hidden folder, or of no known format.

    Raises:
        InputError: a path does not exist, or the format is unknown.
        UnreadFormatError: a file that is named is of unknown format, or of a kind that is not read.
    """
    if format is not None and format not in PASSAGE_FORMATS:
        raise InputError(f"unknown input format {format!r}; known: {', '.join(PASSAGE_FORMATS)}")
    for path in paths:
        if path.is_dir() and format in PATH_READERS:
            yield path, path.resolve().name, format
        elif path.is_dir():
            for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
                # Folders often hold .DS_Store and the like, which no format can read, or copies in .git.
                known = None if is_hidden(file, path) else _choose_format(file, format)
                yield file, file.relative_to(path).as_posix(), known
        elif path.is_file():
            yield path, path.name, detect_text_format(path, format=format)
        else:
            raise InputError(f"{path}: no such file or folder")


def read_passages(
    path: Path, format: str, *, on_skip: OnSkip = lambda reason: None, on_bad: OnBad = fail
) -> Iterator[Passage]:
    """Yield the passages of a file.

    Args:
        path: the file, or a folder if the format reads folders.
        format: one of ``PASSAGE_FORMATS``.
        on_skip: called with the reason for each article of a dump that has no text to offer.
        on_bad: called with the error of each bad record, if the reader can continue after one. Bad
            annotations do not matter here.

    Raises:
        InputError: the file cannot be opened.
        CorpusFormatError: the file is damaged or does not follow the format; the message names the line.
    """
    check_kind(path)
    source = Path(strip_gz(path.name)).stem
    if reader := REGISTRY[format].passage_reader:
        yield from reader(path, on_skip=on_skip, on_bad=on_bad)
    elif format == "jsonl":
        yield from _read_jsonl(path, source, on_bad)
    elif format == "text":
        yield from _read_text(path, source)
    else:
        for document in read_documents(path, format=format, on_bad=_pass_annotations(on_bad)):
            yield Passage(document.id, source, document.text)


def _choose_format(path: Path, format: str | None) -> str | None:
    """Return the format of a file of a folder; ``None`` for one that is not read."""
    try:
        return detect_text_format(path, format=format)
    except UnreadFormatError:
        return None


def _pass_annotations(on_bad: OnBad) -> OnBad:
    """Return a function that drops the errors of annotations."""

    def note(error: InputError) -> None:
        if not isinstance(error, AnnotationError):
            on_bad(error)

    return note


def _read_jsonl(path: Path, source: str, on_bad: OnBad) -> Iterator[Passage]:
    for number, line in _iter_text_lines(path):
        if not line.strip():
            continue
        try:
            passage = _from_json(json.loads(line), f"{path.name}:{number}", source)
        except (ValueError, RecursionError) as error:
            on_bad(CorpusFormatError(f"{path}, line {number}: {explain_json(error)}"))
        else:
            yield passage


def _from_json(record: object, default_id: str, default_source: str) -> Passage:
    from openmed_ner.formats.jsonl import check_record

    fields, identifier, text = check_record(record)
    source = fields.get("source")
    if not isinstance(source, str | None) or source == "":
        raise ValueError(f'expected a name under "source", found {source!r}')
    require_characters(text, "text")
    require_characters(source or "", "source")
    return Passage(default_id if identifier is None else identifier, source or default_source, text)


def _read_text(path: Path, source: str) -> Iterator[Passage]:
    """Yield the paragraphs of a text, separated by blank lines."""
    lines: list[str] = []
    start = size = 0
    for number, line in _iter_text_lines(path):
        if line.strip():
            start = start if lines else number
            size += len(line)
            if size > MAX_LINE:
                raise CorpusFormatError(
                    f"{path}, line {start}: a paragraph of more than {MAX_LINE} characters"
                )
            lines.append(line)
        elif lines:
            yield Passage(f"{path.name}:{start}", source, "".join(lines))
            lines, size = [], 0

    if lines:
        yield Passage(f"{path.name}:{start}", source, "".join(lines))


def _iter_text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line; a byte order mark at the start is dropped."""
    for number, line in iter_lines(path, limit=MAX_LINE):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            way_out = advise_encoding(read_head(path, HEAD))
            raise CorpusFormatError(f"{path}: not UTF-8: {locate_byte(error, number)}. {way_out}") from error
        yield number, text
