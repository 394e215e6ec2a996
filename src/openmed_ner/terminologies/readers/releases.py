"""Read the releases of MeSH and of the NCBI Taxonomy that stand in for the two large optional tables.

The package has no room for these tables, and their authors publish other forms: the supplementary records of
MeSH as XML (https://www.nlm.nih.gov/databases/download/mesh.html), and the taxonomy as tables without column
names in an archive (https://ftp.ncbi.nlm.nih.gov/pub/taxonomy/). Files are read record by record in constant
memory.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.files import open_bytes
from openmed_ner.formats.xml import check_place, check_root, explain, forget, make_parser

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

MESH_RELEASE = re.compile(r"supp[0-9]{4}(?:\.xml|\.gz|\.xml\.gz)")
"""Names of the supplementary records of a year: ``supp2026.gz``, ``supp2026.xml``."""
TAXONOMY_RELEASE = re.compile(r"names\.dmp(?:\.gz)?|(?:new_)?taxdump\.tar\.gz")
"""Names of the taxonomy's archive, and of the file of names in it."""
_CHUNK = 1 << 20
_ROOT, _RECORD = "SupplementalRecordSet", "SupplementalRecord"
_NAMES = "names.dmp"
_SEPARATOR, _END = "\t|\t", "\t|"
_CELLS = 4
_SCIENTIFIC, _FORMER = "scientific name", "synonym"
_GENUS = re.compile(r"[A-Z][a-z-]+")
_BINOMIAL = re.compile(r"[A-Z][a-z-]+ [a-z-]+")


@dataclass(frozen=True, slots=True)
class SupplementaryRecord:
    """A supplementary record of MeSH.

    Attributes:
        id: its number: ``C000002``.
        name: preferred name.
        names: names of all its concepts; the preferred one may be among them.
        headings: numbers of the headings that it is mapped to.
    """

    id: str
    name: str
    names: tuple[str, ...]
    headings: tuple[str, ...]


def iter_supplementary(path: Path) -> Iterator[SupplementaryRecord]:
    """Yield the supplementary records of a release of MeSH in XML.

    Raises:
        InputError: it cannot be opened.
        CorpusFormatError: it is damaged, not well-formed, declares entities, is another file, or a record has
            no number or no name, or refers to an entity.
    """
    from lxml import etree

    parser = make_parser((_ROOT, _RECORD))
    try:
        with open_bytes(path) as file:
            while chunk := file.read(_CHUNK):
                parser.feed(chunk)
                for event, element in parser.read_events():
                    if event == "start":
                        check_place(element, str(path), root=_ROOT, records="records")
                    elif element.tag == _RECORD:
                        yield _read_record(element, path)
                        forget(element)
        root = parser.close()
    except etree.XMLSyntaxError as error:
        raise explain(error, str(path)) from error
    check_root(root, str(path), expected=_ROOT)


def _read_record(element: Element, path: Path) -> SupplementaryRecord:
    from lxml import etree

    for reference in element.iter(etree.Entity):
        raise CorpusFormatError(
            f"{path}, line {reference.sourceline}: found {reference.text}, which the file does not define"
        )
    number = element.findtext("SupplementalRecordUI", "").strip()
    name = _clean(element.findtext("SupplementalRecordName/String", ""))
    if not number or not name:
        raise CorpusFormatError(
            f"{path}, line {element.sourceline}: expected a record with <SupplementalRecordUI> and "
            f"<SupplementalRecordName>, found {number!r} and {name!r:.80}"
        )
    terms = (_clean(term.text or "") for term in element.iterfind("ConceptList/Concept/TermList/Term/String"))
    # A star marks the headings that are major topics of articles indexed with the record.
    headings = (
        (heading.text or "").strip().removeprefix("*")
        for heading in element.iterfind("HeadingMappedToList/HeadingMappedTo//DescriptorUI")
    )
    return SupplementaryRecord(
        number, name, tuple(filter(None, terms)), tuple(dict.fromkeys(filter(None, headings)))
    )


def _clean(name: str) -> str:
    # A table of concepts has this sign between names, and normalisation drops it.
    return " ".join(name.replace("|", "/").split())


def iter_scientific_names(path: Path) -> Iterator[tuple[str, str, bool]]:
    """Yield the genera, binomials and former binomials of a release of the NCBI Taxonomy.

    Names of strains, hybrids and samples are left out, as are those with digits or signs.

    Args:
        path: the archive ``taxdump.tar.gz``, or the file ``names.dmp`` in it.

    Yields:
        A name, the number of its taxon, and whether the name is the current one.

    Raises:
        InputError: it cannot be opened.
        CorpusFormatError: it is damaged, not in UTF-8, has no file of names, or a line has another form.
    """
    for number, line in _iter_name_lines(path):
        cells = line.removesuffix(_END).split(_SEPARATOR)
        if len(cells) != _CELLS or not cells[0].isdecimal():
            raise CorpusFormatError(
                f"{path}, line {number}: expected a taxon, a name, a unique name and a class between '|', "
                f"found {line!r:.80}"
            )
        taxon, name, _, kind = cells
        if kind == _SCIENTIFIC and (_GENUS.fullmatch(name) or _BINOMIAL.fullmatch(name)):
            yield name, taxon, True
        elif kind == _FORMER and _BINOMIAL.fullmatch(name):
            yield name, taxon, False


def _iter_name_lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with open_bytes(path) as file:
            for number, line in enumerate(_find_names(file, path), start=1):
                yield number, line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise CorpusFormatError(f"{path}, line {number}: not UTF-8: {error.reason}") from error
    except tarfile.TarError as error:
        raise CorpusFormatError(f"{path}: damaged: {error}. Get the file again") from error


def _find_names(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Yield the lines of the names; an archive is read from its beginning, and not unpacked."""
    if not path.name.endswith(".tar.gz"):
        yield from file
        return
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for member in archive:
            names = archive.extractfile(member) if member.name.removeprefix("./") == _NAMES else None
            if names is not None:
                yield from names
                return
    raise CorpusFormatError(f"{path} holds no {_NAMES}; expected the archive taxdump.tar.gz of the taxonomy")
