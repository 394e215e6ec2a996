"""PubMed's annual baseline and daily update files, ``pubmed25n0001.xml(.gz)``: titles and abstracts.

Elements are described at https://dtd.nlm.nih.gov/ncbi/pubmed/doc/out/250101/index.html, the files at
https://ftp.ncbi.nlm.nih.gov/pubmed/baseline/README.txt. A passage is the title and the abstract of an
article. Sections of a structured abstract follow each other with their labels; markup and formulas become
their characters, so 10<sup>3</sup> reads 103. Other abstracts (translations, plain language) are not read.

A file is read record by record in constant memory. The list of deleted articles stands at the end of a
file, so a file that has one is parsed twice, and any other decompressed twice. XML is untrusted: the document
type that every file names is not fetched, and whatever would need it, such as an entity, is an error.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats.passage import Passage
from openmed_ner.formats.xml import make_parser

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

SOURCE = "pubmed"
MAX_RECORD = 16 << 20
"""Bytes that may pass without a complete record: room for tens of thousands of authors."""
_CHUNK = 1 << 16
_ROOT = "PubmedArticleSet"
_DELETED = "DeleteCitation"
_RECORDS = ("PubmedArticle", "PubmedBookArticle", _DELETED)
_RETRACTED = "Retracted Publication"
_UNLABELLED = "UNLABELLED"
"""What PubMed calls a section without a heading in an abstract that has others."""
_NUMBER = re.compile("[0-9]{1,12}")
_PLACE = re.compile(", line [0-9]+, column [0-9]+$")
_BLANKS = re.compile("[ \t\r\n]+")


def read_pubmed(
    path: Path,
    *,
    languages: Collection[str] | None = ("eng",),
    retracted: bool = False,
    on_skip: Callable[[str], None] = lambda reason: None,
) -> Iterator[Passage]:
    """Yield one passage per article that has an abstract, named ``pubmed:PMID``, or ``pubmed:PMID.VERSION``.

    Args:
        path: an XML file, compressed by gzip or not.
        languages: read articles written in one of these (codes of three letters, as PubMed has them); any if
            ``None``. The title of an article in another language stands in brackets.
        retracted: read retracted articles too.
        on_skip: called for every article passed over, with the first reason of: ``deleted`` (on the list of
            this same file; see :func:`read_deleted` for other files), ``book``, ``language``, ``retracted``,
            ``no abstract``.

    Raises:
        InputError: the file cannot be opened.
        CorpusFormatError: the file is damaged, not well-formed, declares or refers to entities, is no file of
            PubMed, has an article without number, or a record larger than any known.
    """
    wanted = {languages} if isinstance(languages, str) else languages and {*languages}
    deleted = read_deleted(path)
    for record in _iter_records(path):
        if record.tag == _DELETED:
            continue
        if record.tag == "PubmedBookArticle":
            on_skip("book")
            continue
        name = _name(record, record.find("MedlineCitation/PMID"), path)
        article = record.find("MedlineCitation/Article")
        title, abstract = ("", "") if article is None else (_title(article), _abstract(article))
        if name in deleted:
            on_skip("deleted")
        elif wanted is not None and not _strings(article, "Language") & {*wanted}:
            on_skip("language")
        elif not retracted and _RETRACTED in _strings(article, "PublicationTypeList/PublicationType"):
            on_skip("retracted")
        elif not abstract:
            on_skip("no abstract")
        else:
            yield Passage(name, SOURCE, f"{title} {abstract}" if title else abstract)


def read_deleted(path: Path) -> frozenset[str]:
    """The names (``pubmed:PMID``) of what a file asks to delete, from itself or any earlier file.

    Raises:
        InputError, CorpusFormatError: as for :func:`read_pubmed`.
    """
    if not _mentions(path, f"<{_DELETED}".encode()):
        return frozenset()
    return frozenset(
        _name(record, number, path)
        for record in _iter_records(path)
        if record.tag == _DELETED
        for number in record.iterfind("PMID")
    )


@contextmanager
def open_dump(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, through gzip if its first two bytes say so.

    Raises:
        InputError: the file cannot be opened.
        CorpusFormatError: while reading, its compression turns out to be damaged.
    """
    try:
        with path.open("rb") as probe:
            packed = probe.read(2) == b"\x1f\x8b"
        file: IO[bytes] = gzip.open(path) if packed else path.open("rb")  # type: ignore[assignment]  # noqa: SIM115
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        try:
            yield file
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise CorpusFormatError(f"{path}: damaged gzip: {error}; fetch the file again") from error


def _mentions(path: Path, wanted: bytes) -> bool:
    rest = b""
    with open_dump(path) as file:
        while chunk := file.read(_CHUNK):
            if wanted in rest + chunk:
                return True
            rest = chunk[-len(wanted) :]
    return False


def _iter_records(path: Path) -> Iterator[Element]:
    """Yield each record as soon as it is complete, and forget it afterwards."""
    from lxml import etree

    parser = make_parser((_ROOT, *_RECORDS))
    line, pending = 1, 0
    with open_dump(path) as file:
        while chunk := file.read(_CHUNK):
            _feed(parser, chunk, path)
            line, pending = line + chunk.count(b"\n"), pending + len(chunk)
            for event, element in parser.read_events():
                _check_place(element, path)
                if event == "end" and element.tag != _ROOT:
                    yield element
                    _forget(element)
                    pending = 0
            if pending > MAX_RECORD:
                raise CorpusFormatError(
                    f"{path}, line {line}: found {MAX_RECORD >> 20} MB without a complete record of PubMed"
                )
    try:
        root = parser.close()
    except etree.XMLSyntaxError as error:
        raise CorpusFormatError(f"{path}, line {error.lineno or line}: {_problem(error)}") from error
    if root.tag != _ROOT:
        raise CorpusFormatError(f"{path}, line {root.sourceline}: expected <{_ROOT}>, found <{root.tag}>")


def _feed(parser: Any, chunk: bytes, path: Path) -> None:
    """Parse on; what the parser only warns of is an error too, since it drops an entity it does not know."""
    from lxml import etree

    try:
        parser.feed(chunk)
    except etree.XMLSyntaxError as error:
        raise CorpusFormatError(f"{path}, line {max(error.lineno or 1, 1)}: {_problem(error)}") from error
    for entry in parser.feed_error_log:
        raise CorpusFormatError(f"{path}, line {entry.line}: {entry.message}")


def _problem(error: SyntaxError) -> str:
    """What the parser found, without the place, which it says at the end."""
    return _PLACE.sub("", error.msg)


def _check_place(element: Element, path: Path) -> None:
    """Let pass a set of records at the top, without entities, and records right below it."""
    where = f"{path}, line {element.sourceline}"
    parents = [parent.tag for parent in element.iterancestors()]
    if parents != ([] if element.tag == _ROOT else [_ROOT]):
        raise CorpusFormatError(
            f"{where}: expected records right below one <{_ROOT}>, found <{element.tag}> in "
            f"{' in '.join(f'<{parent}>' for parent in parents) or 'nothing'}"
        )
    dtd = element.getroottree().docinfo.internalDTD if element.tag == _ROOT else None
    if dtd is not None and (names := [str(entity.name) for entity in dtd.iterentities()]):
        raise CorpusFormatError(
            f"{where}: the file declares entities ({', '.join(names[:3])}), which no file of PubMed does and "
            "which can be an attack; fetch the file again"
        )


def _forget(element: Element) -> None:
    """Free a record and what stands before it, or the tree would grow with the file."""
    parent = element.getparent()
    element.clear()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _name(record: Element, number: Element | None, path: Path) -> str:
    if number is None:
        raise CorpusFormatError(f"{path}, line {record.sourceline}: an article without <PMID>")
    pmid, version = (number.text or "").strip(), number.get("Version", "1")
    if not (_NUMBER.fullmatch(pmid) and _NUMBER.fullmatch(version)):
        raise CorpusFormatError(
            f"{path}, line {number.sourceline}: expected numbers as PMID and version, "
            f"found {pmid!r:.40} and {version!r:.40}"
        )
    return f"{SOURCE}:{pmid}" if version == "1" else f"{SOURCE}:{pmid}.{version}"


def _strings(article: Element | None, path: str) -> set[str]:
    return set() if article is None else {(found.text or "").strip() for found in article.iterfind(path)}


def _title(article: Element) -> str:
    title = article.find("ArticleTitle")
    return "" if title is None else _flatten(title)


def _abstract(article: Element) -> str:
    sections = []
    for section in article.iterfind("Abstract/AbstractText"):
        label, text = section.get("Label", "").strip(" :"), _flatten(section)
        if text:
            sections.append(f"{label}: {text}" if label and label != _UNLABELLED else text)
    return " ".join(sections)


def _flatten(element: Element) -> str:
    """The characters of an element; a formula's second notation is left out, not being text."""
    from lxml import etree

    if len(element):
        etree.strip_elements(element, "{*}annotation", "{*}annotation-xml", with_tail=False)
    return _BLANKS.sub(" ", "".join(element.itertext())).strip()
