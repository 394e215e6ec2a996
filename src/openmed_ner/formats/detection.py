"""Choose the format of a file: what its first bytes show decides, then its name.

A format that the caller names is taken at its word, except that no text can be read from an archive, an image
or a text in UTF-16. A file that neither its content nor its name gives away is refused: read as plain text, a
table or a dump gives entities that are none.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from openmed_ner.errors import CorpusFormatError, InputError, UnreadFormatError
from openmed_ner.formats.files import has_gz, read_head, strip_gz
from openmed_ner.formats.recognition import HEAD, Content, is_table, recognise
from openmed_ner.formats.registry import FORMATS, PASSAGE_FORMATS, REGISTRY, infer_format

_VAGUE = ("xml", "json", "json-lines")
"""Kinds of which the name of a file may know more."""


def choose_format(path: Path, *, format: str | None = None, source: str | None = None) -> str:
    """Choose the format of a file of annotated documents.

    Args:
        path: the file.
        format: name of the format; chosen if ``None``.
        source: name of the file in messages; its path if ``None``.

    Raises:
        InputError: the file cannot be opened.
        UnreadFormatError: its format is unknown, or is not read.
        CorpusFormatError: its format has no annotated documents.
    """
    if path.is_dir():
        raise InputError(f"{path}: cannot be read: it is a folder; name its format, such as brat")
    name = detect_text_format(path, format=format, source=source)
    if name not in FORMATS:
        raise CorpusFormatError(
            f"{source or path}: is {name}, which has no annotations; openmed-ner tag reads its texts"
        )
    return name


def detect_text_format(path: Path, *, format: str | None = None, source: str | None = None) -> str:
    """Choose the format of a file with text, public dumps included.

    Raises:
        InputError, UnreadFormatError: as for :func:`choose_format`.
    """
    return judge(read_head(path, HEAD), path.name, format=format, source=source or str(path))


def judge(head: bytes, name: str, *, format: str | None = None, source: str) -> str:
    """Choose the format of a file from its first bytes and its name.

    Args:
        head: first bytes, unpacked.
        name: name of the file; empty if it has none, as standard input.
        format: format that the caller names.
        source: name of the file in messages.

    Raises:
        UnreadFormatError: neither tells the format, or the file is of a kind that is not read.
    """
    content = recognise(head)
    if content and content.kind == "gzip" and has_gz(name):
        advice = "unpack it once: gunzip FILE"
        content = replace(content, description="compressed twice by gzip", advice=advice)
    named = format or infer_format(Path(name.lstrip(".")))
    if content is None:
        if format is None and named == "conll" and strip_gz(name).lower().endswith(".tsv") and is_table(head):
            return "tsv"
        return named or _choose_default(name, source)
    if content.kind in (format, named) or (named and _knows_better(named, content)):
        return named or content.kind

    if format is not None and content.is_text and (content.kind != "cr" or format == "text"):
        return format
    if format is None and content.kind in PASSAGE_FORMATS:
        return content.kind
    raise UnreadFormatError(
        f"{source}: is {content.description}, which is not read; {_advise(content, format)}",
        content.description,
    )


def _knows_better(named: str, content: Content) -> bool:
    """Return whether a name tells more than the content: dumps may be packed, XML or JSON be anything."""
    if content.kind == "zip":
        return bool(REGISTRY[named].passage_reader)
    if content.kind == "json" and named == "jsonl":
        return False
    return content.kind in _VAGUE and named.startswith(("bioc", "jsonl", "clinicaltrials", "pubmed"))


def _choose_default(name: str, source: str) -> str:
    if not name:
        return "text"
    suffix = Path(strip_gz(name)).suffix
    found = f"the suffix {suffix!r}" if suffix else "a name without suffix"
    raise UnreadFormatError(
        f"{source}: unknown format: found {found}, and text without the marks of a known format. "
        "Name the format, for plain text with: --from text",
        "of unknown format",
    )


def _advise(content: Content, format: str | None) -> str:
    as_text = content.is_text and format is None and content.kind != "cr"
    return content.advice + (", or read it as plain text: --from text" if as_text else "")
