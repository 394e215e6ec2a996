"""MEDLINE text, as PubMed exports it (``.nbib``): fields such as ``TI  - `` with indented continuation lines.

A document is the title and the abstract of a record, named ``pubmed:PMID``. Other fields are ignored.

Format: https://pubmed.ncbi.nlm.nih.gov/help/#pubmed-format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TextIO

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.structure import join_passages, with_year
from openmed_ner.formats.tolerance import OnBad, excerpt, fail, require_utf8
from openmed_ner.text import Document

_FIELD = re.compile(r"([A-Z][A-Z0-9]{1,3}) *- ?(.*)")
_CONTINUATION = re.compile(r"\s+(\S.*)")
_NUMBER = re.compile("[0-9]{1,12}")
_NO_TITLE = "[Not Available]."
_FIRST, _DATE = "PMID", "DP"
_PASSAGES = {"TI": "title", "AB": "abstract"}
Line = tuple[int, str]


def read_medline(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield one document per record; a bad record goes to ``on_bad``.

    Raises:
        CorpusFormatError: a record does not begin with its PMID, a line is neither a field nor the
            continuation of one, or a record has neither title nor abstract, or several of one.
    """
    lines = (
        (number, line.removeprefix("\ufeff" * (number == 1)).rstrip("\r\n"))
        for number, line in enumerate(file, start=1)
    )
    for record in _iter_records(lines):
        number = record[0][0]
        try:
            document = _read_record(record)
        except ValueError as error:
            on_bad(CorpusFormatError(f"{source}, line {number}: {error}"))
        else:
            yield document


def _iter_records(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Yield the lines of each record; it ends before the next PMID, and before a field after a blank line."""
    record: list[Line] = []
    is_after_blank = False
    for number, line in lines:
        # A record that lacks its PMID must not become a part of the one before.
        begins = line.startswith(f"{_FIRST}-") or (is_after_blank and _FIELD.fullmatch(line))
        if begins and record:
            yield record
            record = []
        is_after_blank = not line.strip()
        if not is_after_blank:
            record.append((number, line))
    if record:
        yield record


def _read_record(lines: list[Line]) -> Document:
    fields: dict[str, list[list[str]]] = {}  # lines of each field, joined once
    name = ""
    for number, line in lines:
        require_utf8(line, f"line {number}")
        if match := _FIELD.fullmatch(line):
            name = match[1]
            fields.setdefault(name, []).append([match[2].strip()])
        elif name and (continuation := _CONTINUATION.fullmatch(line)):
            fields[name][-1].append(continuation[1].strip())
        else:
            raise ValueError(f"expected a field such as 'TI  - ', found {excerpt(line)} in line {number}")

    values = {field: [" ".join(filter(None, pieces)) for pieces in found] for field, found in fields.items()}
    (pmid, *_) = values.get(_FIRST, [""])
    if not _NUMBER.fullmatch(pmid):
        raise ValueError(f"expected a record that begins with its PMID, found {excerpt(lines[0][1])}")
    for field, kind in _PASSAGES.items():
        if len(values.get(field, [])) > 1:
            raise ValueError(f"the record {pmid} has several {kind}s; does the next one lack its PMID?")
    passages = {kind: " ".join(values.get(field, [])) for field, kind in _PASSAGES.items()}
    if passages["title"] == _NO_TITLE:
        passages["title"] = ""
    document = join_passages(f"pubmed:{pmid}", passages)
    if document is None:
        raise ValueError(f"the record {pmid} has neither title nor abstract")
    return with_year(document, " ".join(values.get(_DATE, [])))
