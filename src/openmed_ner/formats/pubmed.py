"""PubMed's annual baseline and daily update files, ``pubmed25n0001.xml(.gz)``: titles and abstracts.

Elements are described at https://dtd.nlm.nih.gov/ncbi/pubmed/doc/out/250101/index.html, the files at
https://ftp.ncbi.nlm.nih.gov/pubmed/baseline/README.txt. The answers of the E-utilities have the same form. A
passage is the title and the abstract of an article; a document may also have only one of them. Sections of a
structured abstract are joined with their labels. Markup and formulas are reduced to their characters, so
10<sup>3</sup> reads 103. Translations and plain-language summaries are not read.

A file is read record by record in constant memory. The list of deleted articles comes at the end of a file,
so a file with such a list is parsed twice, and any other is decompressed twice. XML is untrusted: the
document type that every file names is not fetched, and everything that depends on it, such as an entity, is
an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.files import open_bytes
from openmed_ner.formats.passage import Passage
from openmed_ner.formats.structure import join_passages, with_year
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.formats.xml import check_place, check_root, explain, forget, make_parser
from openmed_ner.text import Document

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

SOURCE = "pubmed"
MAX_RECORD = 16 << 20
"""Bytes that may be read without a complete record: room for tens of thousands of authors."""
_CHUNK = 1 << 16
_ROOT = "PubmedArticleSet"
_END = b"</PubmedArticleSet>"
_DECLARATION_SIZE = 1 << 10
"""Bytes that are sure to hold the declaration of a set."""
_DECLARATION = re.compile(rb"<\?xml[^>]*\?>")
_DELETED = "DeleteCitation"
_RECORDS = ("PubmedArticle", "PubmedBookArticle", _DELETED)
_RETRACTED = "Retracted Publication"
_UNLABELLED = "UNLABELLED"
"""PubMed's label for a section without a heading in an abstract that has others."""
_NUMBER = re.compile("[0-9]{1,12}")
_BLANKS = re.compile("[ \t\r\n]+")
_NO_TITLE = "[Not Available]."
OnSkip = Callable[[str], None]


def read_pubmed(
    path: Path,
    *,
    languages: Collection[str] | None = ("eng",),
    retracted: bool = False,
    on_skip: OnSkip = lambda reason: None,
    on_bad: OnBad = fail,
) -> Iterator[Passage]:
    """Yield one passage per article that has an abstract, named ``pubmed:PMID``, or ``pubmed:PMID.VERSION``.

    Args:
        path: an XML file, compressed by gzip or not.
        languages: languages of the articles to read, as PubMed's codes of three letters; all if ``None``.
            Titles translated from another language are in brackets.
        retracted: if true, read retracted articles too.
        on_skip: called for every skipped article with the first reason that applies: ``deleted`` (on the list
            of this same file; see :func:`read_deleted` for other files), ``book``, ``language``,
            ``retracted``, ``no abstract``.
        on_bad: called with the error of each article without a PMID.

    Raises:
        InputError: the file cannot be opened.
        CorpusFormatError: the file is damaged, not well-formed, declares or refers to entities, is not a
            PubMed file, has an article without PMID, or a record larger than any known.
    """
    for name, title, abstract, _ in _iter_articles(path, languages, retracted, on_skip, on_bad):
        if abstract:
            yield Passage(name, SOURCE, f"{title} {abstract}" if title else abstract)
        else:
            on_skip("no abstract")


def read_pubmed_documents(
    path: Path,
    *,
    languages: Collection[str] | None = None,
    retracted: bool = True,
    on_skip: OnSkip = lambda reason: None,
    on_bad: OnBad = fail,
) -> Iterator[Document]:
    """Yield one document per article, with title and abstract as passages of its structure.

    ``meta["year"]`` is the year in which its journal issue appeared, as far as PubMed states it.

    Unlike :func:`read_pubmed`, articles of any language, retracted ones and titles without an abstract are
    read, and reasons to skip an article are ``deleted``, ``book``, ``language``, ``retracted`` and
    ``no text``.

    Raises:
        InputError, CorpusFormatError: as for :func:`read_pubmed`.
    """
    for name, title, abstract, date in _iter_articles(path, languages, retracted, on_skip, on_bad):
        if document := join_passages(
            name, {"title": "" if title == _NO_TITLE else title, "abstract": abstract}
        ):
            yield with_year(document, date)
        else:
            on_skip("no text")


def _iter_articles(
    path: Path, languages: Collection[str] | None, retracted: bool, on_skip: OnSkip, on_bad: OnBad
) -> Iterator[tuple[str, str, str, str]]:
    """Yield the name, title, abstract and date of each article of the accepted languages and kinds."""
    accepted = {languages} if isinstance(languages, str) else languages and {*languages}
    deleted = read_deleted(path, on_bad=on_bad)

    for record in _iter_records(path):
        if record.tag == _DELETED:
            continue
        if record.tag == "PubmedBookArticle":
            on_skip("book")
            continue

        try:
            name = _name(record, record.find("MedlineCitation/PMID"), path)
        except CorpusFormatError as error:
            on_bad(error)
            continue
        article = record.find("MedlineCitation/Article")
        if name in deleted:
            on_skip("deleted")
        elif accepted is not None and not _strings(article, "Language") & {*accepted}:
            on_skip("language")
        elif not retracted and _RETRACTED in _strings(article, "PublicationTypeList/PublicationType"):
            on_skip("retracted")
        else:
            empty = (name, "", "", "")
            yield empty if article is None else (name, _title(article), _abstract(article), _date(article))


def read_deleted(path: Path, *, on_bad: OnBad = fail) -> frozenset[str]:
    """Return the names (``pubmed:PMID``) of articles that a file deletes, from itself or any earlier file.

    A number that is none goes to ``on_bad``.

    Raises:
        InputError, CorpusFormatError: as for :func:`read_pubmed`.
    """
    # Most files have no such list, and a search for its tag is much faster than parsing.
    if not _contains(path, f"<{_DELETED}".encode()):
        return frozenset()
    names = set()
    for record in _iter_records(path):
        for number in record.iterfind("PMID") if record.tag == _DELETED else ():
            try:
                names.add(_name(record, number, path))
            except CorpusFormatError as error:
                on_bad(error)
    return frozenset(names)


def _contains(path: Path, tag: bytes) -> bool:
    overlap = b""
    with open_bytes(path, sniff=True) as file:
        while chunk := file.read(_CHUNK):
            if tag in overlap + chunk:
                return True
            overlap = chunk[-len(tag) :]
    return False


def _iter_records(path: Path) -> Iterator[Element]:
    """Yield each record as soon as it is complete, and free it afterwards.

    A file may hold several sets one after the other, as downloads that were joined do.
    """
    parser: Any = make_parser((_ROOT, *_RECORDS))
    line, pending = 1, 0
    with open_bytes(path, sniff=True) as file:
        for content, is_last in _iter_pieces(file):
            if parser is None:
                parser, content = _start_set(content, line, path)
            _feed(parser, content, path)
            line, pending = line + content.count(b"\n"), pending + len(content)

            for event, element in parser.read_events():
                check_place(element, str(path), root=_ROOT, records="records")
                if event == "end" and element.tag != _ROOT:
                    yield element
                    forget(element)
                    pending = 0

            if pending > MAX_RECORD:
                raise CorpusFormatError(
                    f"{path}, line {line}: found {MAX_RECORD >> 20} MB without a complete record of PubMed"
                )
            if is_last:
                _end_set(parser, line, path)
                parser, pending = None, 0
    if parser is not None:
        _end_set(parser, line, path)


def _iter_pieces(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield the content of a file in pieces, each with whether a set of articles ends with it.

    The first piece of a later set holds its declaration as a whole. Blanks after the last set are left out.
    """
    rest, is_start, n_sets = b"", False, 0
    while chunk := file.read(_CHUNK):
        *heads, rest = (rest + chunk).split(_END)
        for head in heads:
            yield head + _END, True
            is_start, n_sets = True, n_sets + 1

        # The end of a set may be divided between two chunks.
        n_held = len(_END) - 1
        if len(rest) > (_DECLARATION_SIZE if is_start else n_held):
            yield rest[:-n_held], False
            rest, is_start = rest[-n_held:], False
    if rest.strip() or (rest and not n_sets):
        yield rest, False


def _start_set(content: bytes, line: int, path: Path) -> tuple[Any, bytes]:
    """Return a parser for a set that begins in some line, and its content without the declaration."""
    parser = make_parser((_ROOT, *_RECORDS))
    # A declaration may stand at the start of a file only. The line ends keep the parser's count.
    body = content.lstrip(b"\xef\xbb\xbf \t\r\n")
    n_lines = content[: len(content) - len(body)].count(b"\n")
    _feed(parser, b"\n" * (line - 1), path)
    return parser, b"\n" * n_lines + _DECLARATION.sub(b"", body, count=1)


def _end_set(parser: Any, line: int, path: Path) -> None:
    from lxml import etree

    try:
        root = parser.close()
    except etree.XMLSyntaxError as error:
        raise explain(error, str(path), line=line) from error
    check_root(root, str(path), expected=_ROOT)


def _feed(parser: Any, chunk: bytes, path: Path) -> None:
    """Parse on; a warning is an error too, since the parser drops an unknown entity with a warning only."""
    from lxml import etree

    try:
        parser.feed(chunk)
    except etree.XMLSyntaxError as error:
        raise explain(error, str(path)) from error
    for entry in parser.feed_error_log:
        raise CorpusFormatError(f"{path}, line {entry.line}: {entry.message}")


def _name(record: Element, number: Element | None, path: Path) -> str:
    if number is None:
        raise CorpusFormatError(f"{path}, line {record.sourceline}: an article without <PMID>")
    pmid, version = (number.text or "").strip(), number.get("Version", "1")
    if not (_NUMBER.fullmatch(pmid) and _NUMBER.fullmatch(version)):
        raise CorpusFormatError(
            f"{path}, line {number.sourceline}: expected numbers as PMID and version, "
            f"found {pmid!r:.40} and {version!r:.40}"
        )
    # Almost all articles have one version only, so it is left out of the name.
    return f"{SOURCE}:{pmid}" if version == "1" else f"{SOURCE}:{pmid}.{version}"


def _strings(article: Element | None, path: str) -> set[str]:
    return set() if article is None else {(element.text or "").strip() for element in article.iterfind(path)}


def _title(article: Element) -> str:
    title = article.find("ArticleTitle")
    return "" if title is None else _flatten(title)


def _date(article: Element) -> str:
    date = article.find("Journal/JournalIssue/PubDate")
    return "" if date is None else " ".join(map(str, date.itertext()))


def _abstract(article: Element) -> str:
    sections = []
    for section in article.iterfind("Abstract/AbstractText"):
        label, text = section.get("Label", "").strip(" :"), _flatten(section)
        if text:
            sections.append(f"{label}: {text}" if label and label != _UNLABELLED else text)
    return " ".join(sections)


def _flatten(element: Element) -> str:
    """Return the characters of an element, without the second notation (TeX, say) of a formula."""
    from lxml import etree

    # MathML may repeat a formula as TeX or as content markup in these elements.
    if len(element):
        etree.strip_elements(element, "{*}annotation", "{*}annotation-xml", with_tail=False)
    return _BLANKS.sub(" ", "".join(element.itertext())).strip()
