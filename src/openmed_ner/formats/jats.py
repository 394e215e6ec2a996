"""JATS, the XML of full-text articles in PubMed Central: title, abstract and body, captions and tables.

A document is one article. Its passages are a title, a heading, a paragraph, a caption and so on, with a blank
line between them, so that no mention goes from one to the next. The structure of the document lists them with
their ``type`` and ``section``, and BioC has them as passages. The cells of a table are separated by tabs, its
rows by line ends. Captions and tables follow the paragraph in which, or after which, they stand.

The section of a passage of the body follows from ``sec-type`` or from the heading of its outermost section.
Markup is reduced to its characters. References, citations in superscript, and the second notation of a
formula (TeX, say) are left out.

Tags: https://jats.nlm.nih.gov/archiving/tag-library/1.3/.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats.files import MAX_PENDING
from openmed_ner.formats.sections import SECTIONS, Section
from openmed_ner.formats.structure import Part, Structure, with_year
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.formats.xml import parse_tree
from openmed_ner.formats.xml_records import Record, RecordLayout, iter_records
from openmed_ner.text import Document

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

Passages = Iterator[tuple[Section, str, str]]
"""Section, type and text of passages."""

_ROOTS = ("article", "pmc-articleset", "pmc-articles")
_SET = re.compile(r"<(pmc-articleset|pmc-articles)[\s>]")
_HEAD = 1 << 16
"""Characters that hold the root."""
_HEADINGS: tuple[tuple[Section, re.Pattern[str]], ...] = (
    ("introduction", re.compile("intro|background|objective|aim")),
    ("methods", re.compile(".*(method|material|procedure|patients and)|experimental|subjects")),
    ("results", re.compile("result|finding")),
    ("discussion", re.compile("discussion")),
    ("conclusions", re.compile("conclu|summary")),
)
_BLOCKS = {
    *("sec", "p", "list", "list-item", "def-list", "def-item", "def", "boxed-text", "disp-quote", "fig"),
    *("fig-group", "table-wrap", "table-wrap-group", "caption", "table", "table-wrap-foot", "statement"),
    *("supplementary-material", "media", "fn-group", "fn", "app", "app-group", "ack", "notes", "verse-group"),
    *("abstract", "body", "back", "title", "alternatives", "speech", "glossary", "sub-article", "response"),
}
"""Elements that hold passages; all others are part of one."""
_IGNORED = {
    *("ref-list", "tex-math", "annotation", "annotation-xml", "object-id", "graphic", "inline-graphic"),
    *("permissions", "attrib", "label", "uri-list", "contrib-group", "sub-article", "response"),
}
_FLOATS: dict[str, Section] = {"fig": "figures", "table-wrap": "tables", "supplementary-material": "other"}
_CAPTIONS: dict[tuple[str, Section], str] = {
    ("caption", "figures"): "figure caption",
    ("caption", "tables"): "table caption",
    ("table-wrap-foot", "tables"): "table footnote",
}
_BLANKS = re.compile("[ \t\r\n]+")
_GAP = "\n\n"


def read_jats(
    file: TextIO, *, source: str, on_bad: OnBad = fail, sections: Collection[str] | None = None
) -> Iterator[Document]:
    """Yield one document per article of a file, named by its PMC or PubMed number, such as ``pmc:1234``.

    Args:
        file: open file.
        source: name of the file, for messages.
        on_bad: called with the error of an article without the text that is asked for, and of a damaged one
            in a set of articles.
        sections: sections to read, of ``SECTIONS``; all if ``None``.

    Raises:
        InputError: a section is unknown.
        CorpusFormatError: the file is not well-formed, declares entities or is not JATS.
    """
    if unknown := {*(sections or ())} - {*SECTIONS}:
        raise InputError(f"unknown section {min(unknown)!r}; known: {', '.join(SECTIONS)}")
    for record, default in _iter_articles(file.read(), source, on_bad):
        article = record.element
        passages = [
            entry
            for entry in _iter_passages(article)
            if entry[2] and (sections is None or entry[0] in sections)
        ]
        if passages:
            yield with_year(_join(_name(article) or default, passages), _first_year(article))
        else:
            wanted = "text" if sections is None else f"text in the sections {', '.join(sections)}"
            on_bad(CorpusFormatError(f"{record.place()}: the article has no {wanted}"))


def _iter_articles(content: str, source: str, on_bad: OnBad) -> Iterator[tuple[Record, str]]:
    """Yield each article, and its name if it has no number."""
    try:
        root = parse_tree(content, source)
    except CorpusFormatError:
        # Of a set of articles, only the damaged ones are lost.
        several = _SET.search(content, 0, _HEAD)
        if on_bad is fail or several is None:
            raise
        layout = RecordLayout(several[1], ("article",), "articles", limit=MAX_PENDING)
        chunks = [content.removeprefix("\ufeff").encode(errors="surrogatepass")]
        records = iter_records(chunks, layout, source, on_bad)
        articles = (record for record in records if record.element.tag == "article")
        yield from ((record, f"{source}:{number}") for number, record in enumerate(articles, start=1))
        return

    if root.tag not in _ROOTS:
        raise CorpusFormatError(f"{source}, line {root.sourceline}: expected <article>, found <{root.tag}>")
    elements = [root] if root.tag == "article" else root.findall("article")
    for number, article in enumerate(elements, start=1):
        yield Record(article, source), source if len(elements) == 1 else f"{source}:{number}"


def _join(name: str, passages: Iterable[tuple[Section, str, str]]) -> Document:
    parts: list[Part] = []
    texts = []
    for section, kind, text in passages:
        offset = parts[-1].end + len(_GAP) if parts else 0
        parts.append(Part(offset, len(text), {"section": section, "type": kind}))
        texts.append(text)
    return Structure(tuple(parts)).attach(Document(name, _GAP.join(texts)))


def _name(article: Element) -> str | None:
    """The name of an article, by its number in PubMed Central or PubMed, or by its DOI."""
    numbers = {
        element.get("pub-id-type"): (element.text or "").strip()
        for element in article.iterfind("front/article-meta/article-id")
    }
    for kind, name in (("pmc", "pmc"), ("pmcid", "pmc"), ("pmid", "pubmed"), ("doi", "doi")):
        if numbers.get(kind):
            return f"{name}:{numbers[kind].removeprefix('PMC')}"
    return None


def _first_year(article: Element) -> str:
    """The year of the earliest date of publication."""
    years = article.iterfind("front/article-meta/pub-date/year")
    return min((year.text or "" for year in years), default="")


def _iter_passages(article: Element) -> Passages:
    meta = article.find("front/article-meta")
    if meta is not None:
        for title in meta.iterfind("title-group/article-title"):
            yield "title", "title", _flatten(title)
        for title in meta.iterfind("title-group/subtitle"):
            yield "title", "title", _flatten(title)
        for abstract in meta.iterfind("abstract"):
            yield from _walk(abstract, "abstract")

    for body in article.iterfind("body"):
        for child in body:
            yield from _walk(child, _classify(child) if child.tag == "sec" else "other")
    for back in article.iterfind("back"):
        yield from _walk(back, "back")
    for floats in article.iterfind("floats-group"):
        for child in floats:
            yield from _walk(child, "other")


def _classify(element: Element) -> Section:
    """The section that an outermost ``<sec>`` is."""
    title = element.find("title")
    candidates = [element.get("sec-type", ""), "" if title is None else _flatten(title)]
    for candidate in candidates:
        heading = re.sub(r"^[\W\d]*(?:[ivx]+\.)?\W*", "", candidate.lower())
        for section, pattern in _HEADINGS:
            if heading and pattern.match(heading):
                return section
    return "other"


def _walk(element: Element, section: Section) -> Passages:
    """Yield the passages of an element, in the order of the text."""
    tag = str(element.tag)
    inner = _FLOATS.get(tag, section)
    if tag in _IGNORED:
        return
    if tag == "table":
        yield "tables", "table", _table(element)
    elif tag in {"caption", "table-wrap-foot"}:
        for child in element:
            yield section, _CAPTIONS.get((tag, section), "caption"), _flatten(child)
    elif tag not in _BLOCKS:
        yield section, "paragraph", _flatten(element)
    elif tag in {"p", "title"} or (element.text or "").strip():
        yield section, "heading" if tag == "title" else "paragraph", _flatten(element, blocks=False)
        # Lists, figures and displayed text may stand inside a paragraph.
        for block in _inner_blocks(element):
            yield from _walk(block, section)
    else:
        for child in element:
            yield from _walk(child, inner)


def _inner_blocks(element: Element) -> Iterator[Element]:
    """Yield the outermost blocks inside a paragraph."""
    for child in element:
        if child.tag in _BLOCKS:
            yield child
        elif child.tag not in _IGNORED:
            yield from _inner_blocks(child)


def _table(table: Element) -> str:
    """The rows of a table, whose cells are separated by tabs."""
    rows = []
    for row in table.iter("tr"):
        cells = [_flatten(cell) for cell in row if cell.tag in {"td", "th"}]
        if any(cells):
            rows.append("\t".join(cells))
    return "\n".join(rows)


def _flatten(element: Element, *, blocks: bool = True) -> str:
    """The characters of an element, white space as single blanks.

    Args:
        element: the element.
        blocks: if true, blocks inside belong to it.
    """
    return _BLANKS.sub(" ", "".join(_iter_characters(element, blocks=blocks))).strip()


def _iter_characters(element: Element, *, blocks: bool) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        tag = str(child.tag).rpartition("}")[2]
        if tag == "break":
            yield " "
        elif tag in _BLOCKS:
            # Blocks are separated from the text around them.
            yield " "
            if blocks and tag not in _IGNORED:
                yield from _iter_characters(child, blocks=True)
            yield " "
        elif tag not in _IGNORED and not _is_superscript_citation(child):
            yield from _iter_characters(child, blocks=blocks)
        yield child.tail or ""


def _is_superscript_citation(element: Element) -> bool:
    """Return whether an element is a citation in superscript, which would touch the word before it."""
    if element.tag == "sup":
        citations = [child for child in element if child.get("ref-type") == "bibr"]
        letters = (element.text or "") + "".join(child.tail or "" for child in element)
        return bool(citations) and len(citations) == len(element) and not re.search(r"\w", letters)
    return (
        element.tag == "xref"
        and element.get("ref-type") == "bibr"
        and len(element) == 1
        and element[0].tag == "sup"
        and not (element.text or "").strip()
        and not (element[0].tail or "").strip()
    )
