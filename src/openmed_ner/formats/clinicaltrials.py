r"""Studies of ClinicalTrials.gov as JSON: brief summary, detailed description and eligibility criteria.

The structure is that of version 2 of the API, described at https://clinicaltrials.gov/data-api/about-api/study-data-structure;
``ctg-studies.json.zip``, the download of everything, has one member per study. One study, a list of them, an
object with ``studies`` (what the API answers), JSON lines, such a zip, or a folder of any of these can be
read, the plain files through gzip too.

Texts are Markdown: escapes (``\>=``) are resolved, blank lines and indents taken out; list marks stay. JSON
is parsed as a whole, so the size of a file is bounded: it takes two to three times as much memory (up to
six where it is not Latin), although results and locations are dropped while parsing. A zip is read member by
member, never unpacked to disk, and takes 600 bytes of memory per member for its directory.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats.passage import Passage
from openmed_ner.formats.pubmed import open_dump

SOURCE = "clinicaltrials"
SUFFIXES = (".json", ".json.gz", ".jsonl", ".jsonl.gz", ".zip")
MAX_FILE = 512 << 20
"""Bytes of one JSON file."""
MAX_STUDY = 64 << 20
"""Bytes of one line, or of one member of a zip."""
MAX_RATIO = 200
"""How many times its compressed size a member of a zip may take; text takes far less."""
_SMALL = 1 << 20
"""Bytes below which a ratio says nothing."""
_PARTS = {
    "summary": ("descriptionModule", "briefSummary"),
    "description": ("descriptionModule", "detailedDescription"),
    "eligibility": ("eligibilityModule", "eligibilityCriteria"),
}
_KEYS = {"studies", "protocolSection", "identificationModule", "nctId", *sum(_PARTS.values(), ())}
_NCT = re.compile("NCT[0-9]{8}")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_NOT_UTF8 = re.compile(r"[\ud800-\udfff]")


def read_clinicaltrials(
    path: Path, *, on_skip: Callable[[str], None] = lambda reason: None
) -> Iterator[Passage]:
    """Yield up to three passages per study: ``NCT01234567#summary``, ``#description`` and ``#eligibility``.

    Args:
        path: a file whose name ends as ``SUFFIXES`` has it, or a folder, read recursively by name.
        on_skip: called with ``no text`` for every study that has none of the three, and with ``other file``
            for every file of a folder, or member of a zip, that is no JSON.

    Raises:
        InputError: the file cannot be opened, or its name does not tell what it is.
        CorpusFormatError: a file is no JSON, too large, damaged, or holds something else than studies.
    """
    if not path.is_dir():
        if not path.name.lower().endswith(SUFFIXES):
            raise InputError(f"{path}: expected a folder or a file that ends with {', '.join(SUFFIXES)}")
        yield from _read_file(path, on_skip)
        return
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        if file.name.lower().endswith(SUFFIXES):
            yield from _read_file(file, on_skip)
        else:
            on_skip("other file")


def _read_file(path: Path, on_skip: Callable[[str], None]) -> Iterator[Passage]:
    name = path.name.lower()
    if name.endswith(".zip"):
        contents = _iter_members(path, on_skip)
    elif name.removesuffix(".gz").endswith(".jsonl"):
        contents = _iter_lines(path)
    else:
        contents = iter([(str(path), 1, _read_whole(path))])
    for source, line, content in contents:
        for where, study in _iter_studies(content, source, line):
            passages = list(_to_passages(study, where))
            yield from passages
            if not passages:
                on_skip("no text")


# --- Files: the name of a piece of JSON, its first line, its bytes


def _read_whole(path: Path) -> bytes:
    with open_dump(path) as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise CorpusFormatError(
            f"{path}: more than {MAX_FILE >> 20} MB of JSON, which would have to be parsed in one piece; "
            "give the download with one file per study (.zip), or JSON lines"
        )
    return content


def _iter_lines(path: Path) -> Iterator[tuple[str, int, bytes]]:
    with open_dump(path) as file:
        number = 0
        while line := file.readline(MAX_STUDY + 1):
            number += 1
            if len(line) > MAX_STUDY:
                raise CorpusFormatError(f"{path}, line {number}: longer than {MAX_STUDY >> 20} MB")
            if line.strip():
                yield str(path), number, line


def _iter_members(path: Path, on_skip: Callable[[str], None]) -> Iterator[tuple[str, int, bytes]]:
    with open_dump(path):  # says what is wrong with a file that cannot be opened
        pass
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if sum(member.compress_size for member in members) > path.stat().st_size:
                raise CorpusFormatError(f"{path}: members overlap, as in a zip made to exhaust its reader")
            for member in members:
                if not member.filename.lower().endswith(".json"):
                    on_skip("other file")
                    continue
                source = f"{path}, member {member.filename!r}"
                _check_member(member, source)
                yield source, 1, archive.read(member)
    except _DAMAGE as error:
        raise CorpusFormatError(f"{path}: not a zip that can be read: {error}") from error


_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
"""What :mod:`zipfile` raises on what is damaged, encrypted or made by hand."""


def _check_member(member: zipfile.ZipInfo, source: str) -> None:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CorpusFormatError(f"{source}: compressed by method {member.compress_type}, expected deflate")
    if member.file_size > min(MAX_STUDY, MAX_RATIO * member.compress_size + _SMALL):
        raise CorpusFormatError(
            f"{source}: {member.file_size:,} bytes out of {member.compress_size:,}, which is larger, or more "
            "tightly packed, than any study"
        )


# --- JSON


def _iter_studies(content: bytes, source: str, line: int) -> Iterator[tuple[str, Any]]:
    """Yield each study of one piece of JSON with its place: a line, or a number if there are several."""
    found = _parse(content, source, line)
    studies = found.get("studies") if isinstance(found, dict) and "studies" in found else found
    if isinstance(studies, list):
        yield from ((f"{source}, study {number}", each) for number, each in enumerate(studies, start=1))
    else:
        yield f"{source}, line {line}", studies


def _parse(content: bytes, source: str, line: int) -> Any:
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_keep)
    except UnicodeDecodeError as error:
        line += content.count(b"\n", 0, error.start)
        found = f"byte 0x{error.object[error.start]:02x}"
        raise CorpusFormatError(f"{source}, line {line}: not UTF-8: {found}") from error
    except json.JSONDecodeError as error:
        place = f"{source}, line {line + error.lineno - 1}"
        raise CorpusFormatError(f"{place}: not JSON: {error.msg} at character {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise CorpusFormatError(f"{source}, line {line}: not JSON that can be read: {error}") from error


def _keep(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in pairs if key in _KEYS}


def _to_passages(study: Any, where: str) -> Iterator[Passage]:
    protocol = study.get("protocolSection") if isinstance(study, dict) else None
    if not isinstance(protocol, dict):
        raise CorpusFormatError(
            f'{where}: expected a study, an object with "protocolSection", as version 2 of the API gives it'
        )
    number = _get(protocol, "identificationModule", "nctId", where)
    if not _NCT.fullmatch(number):
        raise CorpusFormatError(f'{where}: expected NCT and eight digits as "nctId", found {number!r:.40}')
    for part, (module, key) in _PARTS.items():
        if text := clean_markdown(_get(protocol, module, key, where)):
            yield Passage(f"{number}#{part}", SOURCE, text)


def _get(protocol: dict[str, Any], module: str, key: str, where: str) -> str:
    """A string of a module; what is absent counts as empty."""
    found = protocol.get(module) or {}
    value = (found.get(key) or "") if isinstance(found, dict) else found
    if not isinstance(value, str) or not isinstance(found, dict):
        raise CorpusFormatError(f'{where}: expected a string under "{module}", "{key}", found {value!r:.40}')
    if _NOT_UTF8.search(value):
        raise CorpusFormatError(f'{where}: "{key}" holds half of a surrogate pair, which is not a character')
    return value


def clean_markdown(text: str) -> str:
    r"""Resolve backslash escapes (``\>`` reads ``>``); take out blank lines, and blanks around lines."""
    lines = (line.strip() for line in _ESCAPE.sub(r"\1", text).splitlines())
    return "\n".join(line for line in lines if line)
