r"""Studies of ClinicalTrials.gov as JSON: brief summary, detailed description and eligibility criteria.

The structure follows version 2 of the API: https://clinicaltrials.gov/data-api/about-api/study-data-structure.
Readable inputs are one study, a list of studies, an answer of the API (an object with ``studies``), JSON
lines, the full download ``ctg-studies.json.zip`` with one member per study, and a folder of any of these.
All but the zip may be compressed by gzip.

Texts are Markdown. Escapes (``\>=``) are resolved, blank lines and indents are removed, list marks stay. JSON
is parsed as a whole, so the size of a file is bounded. Parsing takes two to three times the size of the file
(up to six if it is not Latin), although results and locations are dropped on the way. A zip is read member
by member, never unpacked to disk, and its directory takes 600 bytes of memory per member.
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
from openmed_ner.formats.files import check_kind, describe_byte, iter_lines, list_files, open_bytes
from openmed_ner.formats.passage import Passage
from openmed_ner.formats.tolerance import OnBad, fail, require_characters

SOURCE = "clinicaltrials"
SUFFIXES = (".json", ".json.gz", ".jsonl", ".jsonl.gz", ".zip")
MAX_FILE = 512 << 20
"""Greatest size of a JSON file, in bytes."""
MAX_STUDY = 64 << 20
"""Greatest size of a line or of a member of a zip, in bytes."""
MAX_RATIO = 200
"""Greatest ratio of the unpacked to the compressed size of a member; text stays far below it."""
_SMALL = 1 << 20
"""Size in bytes below which the ratio is not meaningful."""
_PARTS = {
    "summary": ("descriptionModule", "briefSummary"),
    "description": ("descriptionModule", "detailedDescription"),
    "eligibility": ("eligibilityModule", "eligibilityCriteria"),
}
_KEYS = {"studies", "protocolSection", "identificationModule", "nctId", *sum(_PARTS.values(), ())}
_NCT = re.compile("NCT[0-9]{8}")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
# What zipfile raises for an archive that is damaged, encrypted or made by hand.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)


def read_clinicaltrials(
    path: Path, *, on_skip: Callable[[str], None] = lambda reason: None, on_bad: OnBad = fail
) -> Iterator[Passage]:
    """Yield up to three passages per study: ``NCT01234567#summary``, ``#description`` and ``#eligibility``.

    Args:
        path: a file with one of ``SUFFIXES``, or a folder, read recursively in order of names.
        on_skip: called with ``no text`` for every study that has none of the three, and with ``other file``
            for every file of a folder, or member of a zip, that is not JSON.
        on_bad: called with the error of each bad file of a folder, member of a zip, line, and study.

    Raises:
        InputError: the file cannot be opened, or its name has none of ``SUFFIXES``.
        CorpusFormatError: a file is not JSON, too large, damaged, or holds anything but studies.
    """
    if not path.is_dir():
        if not path.name.lower().endswith(SUFFIXES):
            raise InputError(f"{path}: expected a folder or a file that ends with {', '.join(SUFFIXES)}")
        yield from _read_file(path, on_skip, on_bad)
        return
    for file in list_files(path):
        if not file.name.lower().endswith(SUFFIXES):
            on_skip("other file")
            continue
        try:
            yield from _read_file(file, on_skip, on_bad)
        except InputError as error:
            on_bad(error)


def _read_file(path: Path, on_skip: Callable[[str], None], on_bad: OnBad) -> Iterator[Passage]:
    check_kind(path)
    name = path.name.lower()
    if name.endswith(".zip"):
        contents = _iter_members(path, on_skip, on_bad)
    elif name.removesuffix(".gz").endswith(".jsonl"):
        lines = iter_lines(path, limit=MAX_STUDY, sniff=True)
        contents = ((str(path), number, line) for number, line in lines if line.strip())
    else:
        contents = iter([(str(path), 1, _read_whole(path))])

    for source, number, content in contents:
        try:
            studies = list(_iter_studies(content, source, number))
        except CorpusFormatError as error:
            on_bad(error)
            continue
        for place, study in studies:
            try:
                passages = list(_to_passages(study, place))
            except CorpusFormatError as error:
                on_bad(error)
                continue
            yield from passages
            if not passages:
                on_skip("no text")


# --- Files: name of a piece of JSON, number of its first line, its bytes


def _read_whole(path: Path) -> bytes:
    with open_bytes(path, sniff=True) as file:
        content = file.read(MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise CorpusFormatError(
            f"{path}: more than {MAX_FILE >> 20} MB of JSON, too much to parse in one piece; "
            "use the download with one file per study (.zip), or JSON lines"
        )
    return content


def _iter_members(
    path: Path, on_skip: Callable[[str], None], on_bad: OnBad
) -> Iterator[tuple[str, int, bytes]]:
    with open_bytes(path):  # explains why a file cannot be opened
        pass
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            # A zip bomb without nesting reuses the same compressed bytes for many members.
            if sum(member.compress_size for member in members) > path.stat().st_size:
                raise CorpusFormatError(f"{path}: members overlap, as in a zip made to exhaust its reader")
            for member in members:
                if not member.filename.lower().endswith(".json"):
                    on_skip("other file")
                    continue

                source = f"{path}, member {member.filename!r}"
                try:
                    _require_plausible(member, source)
                    content = archive.read(member)
                except CorpusFormatError as error:
                    on_bad(error)
                except _DAMAGE as error:
                    on_bad(CorpusFormatError(f"{source}: not readable: {error}"))
                else:
                    yield source, 1, content
    except _DAMAGE as error:
        raise CorpusFormatError(f"{path}: not a readable zip: {error}") from error


def _require_plausible(member: zipfile.ZipInfo, source: str) -> None:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise CorpusFormatError(f"{source}: compressed by method {member.compress_type}, expected deflate")
    if member.file_size > min(MAX_STUDY, MAX_RATIO * member.compress_size + _SMALL):
        raise CorpusFormatError(
            f"{source}: unpacks from {member.compress_size:,} to {member.file_size:,} bytes, larger or more "
            "tightly packed than any study"
        )


# --- JSON


def _iter_studies(content: bytes, source: str, line: int) -> Iterator[tuple[str, Any]]:
    """Yield each study of one piece of JSON with its place: a line, or a number if there are several."""
    record = _parse(content, source, line)
    studies = record.get("studies") if isinstance(record, dict) and "studies" in record else record
    if isinstance(studies, list):
        yield from ((f"{source}, study {number}", study) for number, study in enumerate(studies, start=1))
    else:
        yield f"{source}, line {line}", studies


def _parse(content: bytes, source: str, line: int) -> Any:
    try:
        # Editors on Windows add a byte order mark, which JSON does not allow.
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_select)
    except UnicodeDecodeError as error:
        line += content.count(b"\n", 0, error.start)
        raise CorpusFormatError(f"{source}, line {line}: not UTF-8: {describe_byte(error)}") from error
    except json.JSONDecodeError as error:
        place = f"{source}, line {line + error.lineno - 1}"
        raise CorpusFormatError(f"{place}: not JSON: {error.msg} at character {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise CorpusFormatError(f"{source}, line {line}: not readable JSON: {error}") from error


def _select(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object from the keys in use; results and locations are most of a study."""
    return {key: value for key, value in pairs if key in _KEYS}


def _to_passages(study: Any, place: str) -> Iterator[Passage]:
    protocol = study.get("protocolSection") if isinstance(study, dict) else None
    if not isinstance(protocol, dict):
        raise CorpusFormatError(
            f'{place}: expected a study, an object with "protocolSection", of version 2 of the API'
        )

    number = _get_string(protocol, "identificationModule", "nctId", place)
    if not _NCT.fullmatch(number):
        raise CorpusFormatError(f'{place}: expected NCT and eight digits as "nctId", found {number!r:.40}')
    for part, (module, key) in _PARTS.items():
        if text := clean_markdown(_get_string(protocol, module, key, place)):
            yield Passage(f"{number}#{part}", SOURCE, text)


def _get_string(protocol: dict[str, Any], module: str, key: str, place: str) -> str:
    """Return a string of a module; empty if the string or the module is absent."""
    fields = protocol.get(module) or {}
    value = (fields.get(key) or "") if isinstance(fields, dict) else fields
    if not isinstance(value, str) or not isinstance(fields, dict):
        raise CorpusFormatError(f'{place}: expected a string under "{module}", "{key}", found {value!r:.40}')
    try:
        require_characters(value, key)
    except ValueError as error:
        raise CorpusFormatError(f"{place}: {error}") from error
    return value


def clean_markdown(text: str) -> str:
    r"""Resolve backslash escapes (``\>`` reads ``>``), and remove blank lines and blanks around lines."""
    lines = (line.strip() for line in _ESCAPE.sub(r"\1", text).splitlines())
    return "\n".join(line for line in lines if line)
