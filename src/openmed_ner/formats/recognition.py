"""Recognise what a file is from its first kilobytes, before its suffix is asked.

Several formats share a suffix, and many files have none or a wrong one. A file read in the wrong format
gives wrong entities without an error, so what is recognised decides. What is recognised and not read is
refused with what it is and the way out. Only marks that running text does not have count: a note is never
taken for a table because of a comma.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from openmed_ner.formats.csv import DELIMITERS
from openmed_ner.formats.csv_header import ALL_COLUMNS

HEAD = 1 << 14
"""Bytes at the start of a file that are enough to recognise it."""


@dataclass(frozen=True, slots=True)
class Content:
    """A kind of file.

    Attributes:
        kind: name of the format, or of the kind of file if no format reads it.
        description: kind of file, for messages.
        advice: the way out if no format reads it.
        is_text: if true, the file is text in UTF-8, which can be read as plain text on request.
    """

    kind: str
    description: str
    advice: str = ""
    is_text: bool = True


_EXTRACT = "extract its text first"
_UNPACK = "unpack it, and name its files or their folder"


def _binary(kind: str, description: str, advice: str) -> Content:
    return Content(kind, description, advice, is_text=False)


_SIGNATURES: tuple[tuple[int, bytes, Content], ...] = (
    (0, b"\x1f\x8b", _binary("gzip", "compressed by gzip", "unpack it, or let its name end in .gz")),
    (0, b"BZh", _binary("bzip2", "compressed by bzip2", "unpack it: bunzip2 FILE")),
    (0, b"\xfd7zXZ\x00", _binary("xz", "compressed by xz", "unpack it: unxz FILE")),
    (0, b"\x28\xb5\x2f\xfd", _binary("zstd", "compressed by Zstandard", "unpack it: unzstd FILE")),
    (257, b"ustar", _binary("tar", "a tar archive", _UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", _binary("7z", "a 7z archive", _UNPACK)),
    (0, b"Rar!\x1a\x07", _binary("rar", "a RAR archive", _UNPACK)),
    (0, b"\xd0\xcf\x11\xe0", _binary("ole", "a file of Microsoft Office (.doc, .xls)", _EXTRACT)),
    (0, b"\x89PNG", _binary("image", "an image", _EXTRACT)),
    (0, b"\xff\xd8\xff", _binary("image", "an image", _EXTRACT)),
    (0, b"GIF8", _binary("image", "an image", _EXTRACT)),
    (0, b"II*\x00", _binary("image", "an image", _EXTRACT)),
    (0, b"MM\x00*", _binary("image", "an image", _EXTRACT)),
    (0, b"PAR1", _binary("parquet", "a Parquet table", "convert it to CSV or JSON lines")),
    (0, b"SQLite format 3\x00", _binary("sqlite", "an SQLite database", "export CSV or JSON lines")),
)
_PDF = _binary("pdf", "a PDF document", "extract its text, for example: pdftotext FILE.pdf FILE.txt")
_ZIP = _binary("zip", "a ZIP archive", _UNPACK)
_ZIP_PARTS = (
    (b"word/", _binary("docx", "a Word document (.docx)", "save it as plain text in UTF-8")),
    (b"xl/", _binary("xlsx", "an Excel workbook (.xlsx)", "save the sheet as CSV in UTF-8")),
    (b"ppt/", _binary("pptx", "a PowerPoint presentation (.pptx)", _EXTRACT)),
    (b"mimetypeapplication/vnd.oasis", _binary("odf", "an OpenDocument file", "save it as plain text")),
    (b"mimetypeapplication/epub", _binary("epub", "an EPUB book", _EXTRACT)),
)
_BINARY = _binary("binary", "not text: a binary file", "name text files")
# The longer marks come first: UTF-32 in little-endian order begins like UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WRITE_TEXTS = 'write its texts as JSON lines, {"id": "1", "text": "…"}'
_EXPORT_CSV = "export it as CSV, and name the column of the texts: --text-column"
_ROOTS = {
    "collection": Content("bioc-xml", "BioC XML"),
    **dict.fromkeys(
        ("PubmedArticleSet", "PubmedArticle"), Content("pubmed", "PubMed's XML", "read it with tag")
    ),
    **dict.fromkeys(
        ("article", "pmc-articleset", "articles"),
        Content("jats", "an article in JATS (PubMed Central)"),
    ),
    "XMI": Content("xmi", "UIMA XMI"),
    "html": Content("html", "a page in HTML", "extract its text, for example: pandoc -t plain FILE.html"),
    "ClinicalDocument": Content("cda", "a clinical document in HL7's CDA", _WRITE_TEXTS),
    "ODM": Content("odm", "an export in CDISC's ODM", _EXPORT_CSV),
    "records": Content("records", "an export of records in XML", _EXPORT_CSV),
}
_HTML = _ROOTS["html"]
_RTF = Content("rtf", "a document in RTF", "save it as plain text in UTF-8")
_JSONL = Content("jsonl", "JSON lines")
_CONLL = Content("conll", "CoNLL")
_CSV = Content("csv", "a CSV table")
_BRAT = Content("brat-annotations", "annotations of brat", "name the folder of the texts, with --from brat")
_FHIR = Content("fhir", "resources of FHIR", _WRITE_TEXTS)
_FIRST_LINES: tuple[tuple[re.Pattern[str], Content], ...] = (
    (re.compile(r"[^|\s]{1,80}\|t\|"), Content("pubtator", "PubTator")),
    (
        re.compile(r"PMID- ?\d"),
        Content("medline", "MEDLINE text (.nbib)"),
    ),
    (re.compile(r"TY {1,2}- "), Content("ris", "references in RIS", "get the abstracts as PubMed's XML")),
    (
        re.compile(r"@[A-Za-z]+\s*\{"),
        Content("bibtex", "references in BibTeX", "get the abstracts as PubMed's XML"),
    ),
    (re.compile(r"(?:MSH|FHS|BHS)\|\^~\\&"), Content("hl7", "messages in HL7", _WRITE_TEXTS)),
    (
        re.compile(r"version https://git-lfs\.github\.com/spec/"),
        Content("lfs", "a pointer of Git LFS", "get the file itself: git lfs pull"),
    ),
    (re.compile(r"%!PS"), Content("postscript", "a page in PostScript", "extract its text: ps2ascii FILE")),
    (
        re.compile(r"BEGIN:V(CARD|CALENDAR)\b"),
        Content("vcard", "a vCard or calendar", "write its texts as JSON lines"),
    ),
    (re.compile(r"#FORMAT=WebAnno TSV"), Content("webanno", "WebAnno TSV")),
    (re.compile(r'"?sep=[,;|\t]"?[,;]*\s*$'), _CSV),
    (re.compile(r"-DOCSTART-(\s|$)"), _CONLL),
    (re.compile(r"T\d+\t\S+ \d+ \d+|E\d+\t\S+:T\d+|R\d+\t\S+ Arg1:"), _BRAT),
)
_EMAIL = Content("email", "an e-mail with its headers", "save its text as plain text in UTF-8")
_HEADERS = re.compile(r"(?:From .*\n)?(?:[A-Za-z][A-Za-z0-9-]*:(?:[ \t].*)?\n(?:[ \t].*\n)*)+")
_MAIL_HEADER = re.compile(
    r"^(?:MIME-Version:\s*\d|Message-ID:\s*<|Return-Path:\s*<|Content-Type:\s*\w+/\w"
    r"|Received:\s*(?:from|by)\s.*(?:\n[ \t].*)*\n(?:From|To|Subject|Date|Received|Message-ID):)",
    re.IGNORECASE | re.MULTILINE,
)
"""Headers that programs write; people also begin letters with From, To and Subject."""
_BIOC = Content("bioc-json", "BioC JSON")
_TRIALS = Content("clinicaltrials", "records of ClinicalTrials.gov", "read it with tag")
_LABEL_STUDIO = Content("label-studio", "an export of Label Studio")
_PRODIGY = Content("prodigy", "an export of Prodigy")
_PUBANNOTATION = Content("pubannotation", "PubAnnotation's JSON")
_PROLOG = re.compile(r"(\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(\[.*?\]\s*)?>)*", re.DOTALL | re.IGNORECASE)
_ROOT = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)[\s/>]")
_BLOCK = re.compile(r"<(body|head|div|p|table|h[1-6]|ul|ol|style|span)(?:\s[^<>]*)?>", re.IGNORECASE)
_NAMESPACE = re.compile(r"<[\w:.-]+\s[^<>]*\bxmlns[:=]")
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]')
_TAG = re.compile(r"(O|[BIESLUMW](?:-.+)?)")
_ROW = re.compile(r"\S+ (?:\S+ )*(O|[BIESLUMW]-[^\W\d]\S*)")
_MIN_BYTES = 64
"""Fewest bytes in which a share of NULs says something."""


def recognise(head: bytes) -> Content | None:
    """Recognise a file from its beginning.

    Args:
        head: the first :data:`HEAD` bytes of the file, unpacked.

    Returns:
        What the file is; ``None`` if it is text without any mark of a format, or empty.
    """
    if content := _recognise_encoding(head) or _recognise_binary(head):
        return content
    # The head may end within a character, and bytes that are not UTF-8 are for the reader to name.
    text = head.decode("utf-8", errors="ignore").removeprefix("\ufeff").lstrip()
    if "\r" in text and "\n" not in text:
        if content := _recognise_text(text.replace("\r", "\n")):
            return content if content.advice else _with_cr(content)
        return None
    return _recognise_text(text)


def guess_encoding(head: bytes) -> str | None:
    """Return the encoding of a text in UTF-16 or UTF-32, with or without a mark; ``None`` for any other."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if len(head) < 8:
        return None

    # Letters of most scripts leave NULs in the same places of every character.
    for name, width, place in (
        ("utf-32le", 4, 0),
        ("utf-32be", 4, 3),
        ("utf-16le", 2, 0),
        ("utf-16be", 2, 1),
    ):
        columns = [head[index::width] for index in range(width)]
        shares = [column.count(0) / len(column) for column in columns]
        other_shares = [share for index, share in enumerate(shares) if index != place]
        if shares[place] < 0.1 and min(other_shares) > 0.6:
            return name
    return None


def _recognise_encoding(head: bytes) -> Content | None:
    name = guess_encoding(head)
    if name is None:
        return None
    return _binary("encoding", f"in {name.upper()}", f"convert it: iconv -f {name} -t utf-8 FILE")


def _recognise_binary(head: bytes) -> Content | None:
    if b"%PDF-" in head[:1024] and head.lstrip()[:5] == b"%PDF-":
        return _PDF
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return next((content for part, content in _ZIP_PARTS if part in head), _ZIP)
    for place, mark, content in _SIGNATURES:
        if head.startswith(mark, place):
            return content

    # A stray NUL in a text is for its reader to treat; many of them are not text.
    if len(head) >= _MIN_BYTES and head.count(0) > len(head) / 10:
        return _BINARY
    if b"\x00" in head:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)
        except UnicodeDecodeError:
            return _BINARY
    return None


def _recognise_text(text: str) -> Content | None:
    steps: tuple[Callable[[str], Content | None], ...] = (
        _recognise_markup,
        _recognise_json,
        _recognise_first_line,
        _recognise_email,
        _recognise_rows,
    )
    return next(filter(None, (step(text) for step in steps)), None)


def _recognise_markup(text: str) -> Content | None:
    if text.startswith("{\\rtf"):
        return _RTF
    if not text.startswith("<"):
        return None
    if re.match(r"<!DOCTYPE\s+html\b", text, re.IGNORECASE) or _is_fragment(text):
        return _HTML
    prolog = _PROLOG.match(text)
    root = _ROOT.match(text, prolog.end() if prolog else 0)
    name = root[1] if root else ""
    if content := _ROOTS.get(name) or _ROOTS.get(name.lower() if name.lower() == "html" else ""):
        return content
    # Without declaration and namespace, a tag may be anything, such as a placeholder in a note.
    if not text.startswith("<?xml") and not _NAMESPACE.match(text):
        return None
    if "http://hl7.org/fhir" in text[: text.find(">", prolog.end() if prolog else 0)]:
        return _FHIR
    if not name:
        return Content("xml", "XML", "convert it to a format of docs/formats.md")
    return Content("other-xml", f"XML with the root <{name}>", "convert it to a format of docs/formats.md")


def _is_fragment(text: str) -> bool:
    """Return whether a text begins with a block of HTML, as pages and rich text do without their frame."""
    block = _BLOCK.match(text)
    return block is not None and (f"</{block[1]}>" in text or "&nbsp;" in text)


def _recognise_json(text: str) -> Content | None:
    """Recognise JSON by the keys of its first object, which need not be complete."""
    if not re.match(r'[\[{]\s*([\[{"]|$)', text) and not re.match(r"\[\s*\{", text):
        return None
    keys = _first_keys(text)
    if not keys:
        return None

    line, _, rest = text.partition("\n")
    by_line = text.startswith("{") and (not rest or _is_json(line))
    if keys & {"documents", "passages", "PubTator3"}:
        return _BIOC
    if keys & {"protocolSection", "studies"}:
        return _TRIALS
    if "resourceType" in keys and not _has_text(line):
        return _FHIR
    if by_line and {"text", "spans"} <= keys and keys & {"answer", "_input_hash"}:
        return _PRODIGY
    if by_line and "text" in keys:
        return _JSONL
    if "denotations" in keys:
        return _PUBANNOTATION
    if text.startswith("[") and ("data" in keys or {"text", "label"} <= keys or "annotator" in keys):
        return _LABEL_STUDIO
    shown = ", ".join(sorted(keys)[:6])
    command = "jq -c '.[]' FILE" if text.startswith("[") else "jq -c . FILE"
    way_out = f"write one object with a text per line, for example: {command}"
    # A first line may be damaged. What is printed over several lines has a brace alone there.
    kind = "json" if text.startswith("[") or line.strip() == "{" else "json-lines"
    return Content(kind, f"JSON whose first object has the keys {shown}", way_out)


def _first_keys(text: str) -> set[str]:
    """Return the keys of the first object, as far as the text goes."""
    keys: set[str] = set()
    depth = place = 0
    tokens = [match[0] for match in _JSON_TOKEN.finditer(text)]
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if token in "[{":
            depth += 1
            place = place or (depth if token == "{" else 0)
        elif token in "]}":
            depth -= 1
            if place and depth < place:
                break
        elif depth == place and following == ":":
            keys.add(token.strip('"'))
    return keys


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _has_text(line: str) -> bool:
    """Return whether a line is an object with a string under ``text``, which a resource of FHIR never has."""
    try:
        return isinstance(json.loads(line)["text"], str)
    except (KeyError, TypeError, ValueError, RecursionError):
        return False


def _recognise_first_line(text: str) -> Content | None:
    line = text.partition("\n")[0]
    for pattern, content in _FIRST_LINES:
        if pattern.match(line):
            return content

    # A header needs the column of the texts and another one of ours: a title may hold a comma.
    for delimiter in DELIMITERS:
        names = {cell.strip().strip('"').lower() for cell in line.split(delimiter)}
        if "text" in names and len(names & set(ALL_COLUMNS)) > 1:
            return _CSV
    return None


def _recognise_email(text: str) -> Content | None:
    headers = _HEADERS.match(text.replace("\r\n", "\n"))
    return _EMAIL if headers and _MAIL_HEADER.search(headers[0]) else None


def _recognise_rows(text: str) -> Content | None:
    """Recognise tokens with tags: every line is a row, and some of them are inside and some outside."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    # The last line may be cut off by the end of the head.
    rows = [line for line in lines[:-1] if line.strip()] or [line for line in lines if line.strip()]
    if len(rows) < 2:
        return None
    tabbed = [re.split("\t+", row) for row in rows]
    if all(len(cells) > 1 and cells[0] for cells in tabbed):
        return _to_conll([_TAG.fullmatch(cells[-1].strip(" ")) for cells in tabbed])
    return _to_conll([_ROW.fullmatch(row) for row in rows])


def _to_conll(matches: Sequence[re.Match[str] | None]) -> Content | None:
    tags = [match[1] for match in matches if match]
    # A column of single letters may be anything, such as M and W.
    marked = any("-" in tag for tag in tags) or {"O", "B"} <= set(tags)
    return _CONLL if marked and len(tags) == len(matches) and "O" in tags else None


def is_table(head: bytes) -> bool:
    """Return whether the first row has a tab and no row ends in a tag, so that it is a table and no CoNLL."""
    rows = [row.strip(" \r") for row in head.decode("utf-8", errors="ignore").split("\n") if row.strip()]
    cells = [row.split("\t") for row in rows]
    return len(cells[0]) > 1 and not any(_TAG.fullmatch(row[-1]) for row in cells) if cells else False


def _with_cr(content: Content) -> Content:
    way_out = "convert its line ends, for example: tr '\\r' '\\n' < FILE"
    return Content("cr", f"{content.description} whose lines end in CR alone", way_out)
