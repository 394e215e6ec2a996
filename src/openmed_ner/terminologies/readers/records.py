"""Entries of a foreign terminology on their way to concepts, and the lines of its files.

Readers of formats yield entries with the place they were found at. What holds for all formats is checked
here: an entry has an identifier that no other has, and a type.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.terminologies.concept import Concept

if TYPE_CHECKING:
    from lzma import LZMAFile

COMPRESSED = (".gz", ".xz")
MAX_LINE = 1 << 24
"""Bytes of the longest line that is read."""
_FORBIDDEN = re.compile(r"[|\s]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_PREFIXES = {
    "MSH": "MESH",
    "MeSH": "MESH",
    "mesh": "MESH",
    "UMLS_CUI": "UMLS",
    "NCI": "NCIT",
    "NCBITAXON": "NCBITaxon",
    "ncbigene": "NCBIGene",
    "EntrezGene": "NCBIGene",
    "SNOMEDCT_US": "SNOMEDCT",
    "SCTID": "SNOMEDCT",
}
_ADDRESSES = (
    (
        re.compile(
            r"https?://(?:purl\.obolibrary\.org/obo|www\.ebi\.ac\.uk/efo|www\.orpha\.net/ORDO)/(\w+)_(\w+)"
        ),
        "",
    ),
    (re.compile(r"https?://id\.nlm\.nih\.gov/mesh/(?:\d{4}/)?(\w+)"), "MESH"),
    (re.compile(r"https?://snomed\.info/id/(\d+)"), "SNOMEDCT"),
)


@dataclass(frozen=True, slots=True)
class Record:
    """An entry of a terminology.

    Attributes:
        place: place in its file, such as ``line 12``.
        id: identifier.
        name: preferred name.
        names: further names; the preferred one may be among them.
        parents: identifiers of the entries directly above it.
        xrefs: identifiers of the same entry in other terminologies.
        types: types of its concepts; that of the whole file if empty.
    """

    place: str
    id: str
    name: str
    names: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    xrefs: tuple[str, ...] = ()
    types: tuple[str, ...] = ()


def to_concepts(records: Iterable[Record], path: Path, label: str | None) -> Iterator[Concept]:
    """Turn entries into concepts, one for each type.

    Args:
        records: entries of a file.
        path: the file, for messages.
        label: type of entries without one.

    Raises:
        CorpusFormatError: an identifier is missing, a duplicate or contains a blank or ``|``, an entry has no
            type, or there is no entry.
    """
    places: dict[str, str] = {}
    for record in records:
        if not record.id or _FORBIDDEN.search(record.id):
            raise CorpusFormatError(
                f"{path}, {record.place}: expected an identifier without blanks and '|', "
                f"found {record.id!r:.80}"
            )
        if record.id in places:
            raise CorpusFormatError(
                f"{path}, {record.place}: duplicate identifier {record.id!r}, first in {places[record.id]}"
            )
        places[record.id] = record.place
        # The type of a file of the user's own is known from the command line only.
        types = record.types or ((label,) if label else ())
        if not types:
            raise CorpusFormatError(
                f"{path}, {record.place}: the type of its concepts is not known; add --type"
            )
        if name := _clean(record.name):
            # A table of concepts has this sign between names, and normalisation drops it.
            names = dict.fromkeys(_clean(other).replace("|", "/") for other in record.names)
            further = tuple(other for other in names if other and other != name)
            for kind in types:
                yield Concept(record.id, name, further, kind, path.name, record.parents, record.xrefs)
    if not places:
        raise CorpusFormatError(f"{path} holds no concepts of the chosen kinds, languages and sources")


def iter_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with their numbers, without line ends.

    Args:
        path: file in UTF-8 with or without a byte order mark; compressed if it ends in ``.gz`` or ``.xz``.

    Raises:
        InputError: it cannot be opened.
        CorpusFormatError: it is damaged, not in UTF-8, or has a line of more than ``MAX_LINE`` bytes.
    """
    import lzma  # here, since Python in a browser is built without it

    number = 0
    try:
        with _open(path) as file:
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise CorpusFormatError(f"{path}, line {number}: longer than {MAX_LINE >> 20} MiB")
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise CorpusFormatError(
            f"{path}, line {number}: not UTF-8: {error.reason}; convert the file, for instance with iconv"
        ) from error
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise CorpusFormatError(f"{path}, after line {number}: damaged: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror or error}") from error


def base_name(path: Path) -> str:
    """Name of a file without the suffix of its compression."""
    return path.name.removesuffix(path.suffix) if path.suffix in COMPRESSED else path.name


def short_id(text: str) -> str:
    """Identifier with a prefix for an address or for a prefix that is written in several ways.

    >>> short_id("http://purl.obolibrary.org/obo/MONDO_0004975")
    'MONDO:0004975'
    >>> short_id("UMLS_CUI:C0002395")
    'UMLS:C0002395'
    """
    for pattern, prefix in _ADDRESSES:
        if match := pattern.fullmatch(text):
            return ":".join(filter(None, (prefix, *match.groups())))
    prefix, colon, number = text.partition(":")
    return f"{_PREFIXES.get(prefix, prefix)}{colon}{number}"


def keep_ids(texts: Iterable[str]) -> tuple[str, ...]:
    """Distinct identifiers with prefixes; what cannot be one is dropped."""
    ids = (short_id(text) for text in texts)
    return tuple(dict.fromkeys(other for other in ids if other and not _FORBIDDEN.search(other)))


def _clean(name: str) -> str:
    return " ".join(_CONTROL.sub(" ", name).split())


def _open(path: Path) -> IO[bytes] | gzip.GzipFile | LZMAFile:
    if path.suffix == ".gz":
        return gzip.open(path)
    if path.suffix == ".xz":
        import lzma

        return lzma.open(path)
    return path.open("rb")
