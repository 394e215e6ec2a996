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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.files import open_bytes
from openmed_ner.formats.passage import Passage
from openmed_ner.formats.structure import join_passages, with_year
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.formats.xml_records import Record, RecordLayout, iter_records
from openmed_ner.text import Document

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

SOURCE = "pubmed"
MAX_RECORD = 16 << 20
"""Bytes that may be read without a complete record: room for tens of thousands of authors."""
_CHUNK = 1 << 16
_DELETED = "DeleteCitation"
_LAYOUT = RecordLayout(
    "PubmedArticleSet", ("PubmedArticle", "PubmedBookArticle", _DELETED), "records", limit=MAX_RECORD
)
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
        on_bad: called with the error of each article that is damaged or has no PMID.

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
    # Damaged records are reported when the articles are read.
    deleted = _read_deleted(path, on_bad, on_damage=lambda error: None)

    for record in _iter_records(path, on_bad):
        if record.element.tag == _DELETED:
            continue
        if record.element.tag == "PubmedBookArticle":
            on_skip("book")
            continue

        try:
            name = _name(record, record.element.find("MedlineCitation/PMID"))
        except CorpusFormatError as error:
            on_bad(error)
            continue
        article = record.element.find("MedlineCitation/Article")
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

    A number that is none goes to ``on_bad``, and so does a damaged record.

    Raises:
        InputError, CorpusFormatError: as for :func:`read_pubmed`.
    """
    return _read_deleted(path, on_bad, on_damage=on_bad)


def _read_deleted(path: Path, on_bad: OnBad, *, on_damage: OnBad) -> frozenset[str]:
    # Most files have no such list, and a search for its tag is much faster than parsing.
    if not _contains(path, f"<{_DELETED}".encode()):
        return frozenset()
    names = set()
    for record in _iter_records(path, on_damage):
        for number in record.element.iterfind("PMID") if record.element.tag == _DELETED else ():
            try:
                names.add(_name(record, number))
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


def _iter_records(path: Path, on_bad: OnBad) -> Iterator[Record]:
    """Yield each record as soon as it is complete, and free it afterwards.

    A file may hold several sets one after the other, as downloads that were joined do.
    """
    with open_bytes(path, sniff=True) as file:
        chunks = iter(partial(file.read, _CHUNK), b"")
        for record in iter_records(chunks, _LAYOUT, str(path), on_bad):
            if record.element.tag != _LAYOUT.root:
                yield record


def _name(record: Record, number: Element | None) -> str:
    if number is None:
        raise CorpusFormatError(f"{record.place()}: an article without <PMID>")
    pmid, version = (number.text or "").strip(), number.get("Version", "1")
    if not (_NUMBER.fullmatch(pmid) and _NUMBER.fullmatch(version)):
        raise CorpusFormatError(
            f"{record.place(number)}: expected numbers as PMID and version, "
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
