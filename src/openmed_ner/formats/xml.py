"""Hostile XML: nothing is fetched, no entity is expanded, and depth and size are bounded.

BioC and PubMed files are both a set of records below one root. They are parsed record by record, and each
record is freed once it is read, so memory does not grow with the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.tolerance import CONVERT

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

SAFE: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
}
"""Options of every parser of ours."""
_PLACE = re.compile(", line [0-9]+, column [0-9]+$")
_LINE = re.compile(r"\bline ([0-9]{1,9})\b")
_LATE_DECLARATION = re.compile(rb"(?:\xef\xbb\xbf)?([ \t\r\n]+)(?:\xef\xbb\xbf)?(<\?xml[^>]*\?>)")


def move_blanks(content: bytes) -> bytes:
    """Put the blanks at the start of a file behind its declaration, where XML allows them. Lines stay."""
    match = _LATE_DECLARATION.match(content)
    return match[2] + match[1] + content[match.end() :] if match else content


def make_parser(tags: Sequence[str]) -> Any:
    """Build a pull parser that reports the start and the end of some elements.

    It resolves no entities, loads no DTD, uses no network, and observes the limits of libxml2.
    """
    from lxml import etree

    return etree.XMLPullParser(
        events=("start", "end"),
        tag=tuple(tags),
        encoding="utf-8",
        remove_comments=True,
        remove_pis=True,
        **SAFE,
    )


def check_place(element: Element, source: str, *, root: str, records: str, first: int = 1) -> None:
    """Accept the root at the top of the file, without entities, and records directly below it.

    Args:
        element: the root or a record.
        source: name of the file in messages.
        root: tag of the root.
        records: name of the records in messages.
        first: line of the file that the parser counts as the first.

    Raises:
        CorpusFormatError: the element is in another place, or the file declares entities.
    """
    place = f"{source}, line {int(element.sourceline or 1) + first - 1}"
    parents = [parent.tag for parent in element.iterancestors()]
    if parents != ([] if element.tag == root else [root]):
        raise CorpusFormatError(
            f"{place}: expected {records} directly below one <{root}>, found <{element.tag}> in "
            f"{' in '.join(f'<{parent}>' for parent in parents) or 'nothing'}"
        )

    dtd = element.getroottree().docinfo.internalDTD if element.tag == root else None
    if dtd is not None and (names := [str(entity.name) for entity in dtd.iterentities()]):
        raise CorpusFormatError(
            f"{place}: the file declares entities ({', '.join(names[:3])}), which can be an attack; "
            "replace them with the text they stand for"
        )


def check_root(root: Element, source: str, *, expected: str, first: int = 1) -> None:
    """Refuse a file with another root; ``first`` is the line of the file that the parser counts as the first.

    Raises:
        CorpusFormatError: the root has another tag.
    """
    if root.tag != expected:
        line = int(root.sourceline or 1) + first - 1
        raise CorpusFormatError(f"{source}, line {line}: expected <{expected}>, found <{root.tag}>")


def explain(error: SyntaxError, source: str, *, line: int = 1, first: int = 1) -> CorpusFormatError:
    """Turn the parser's error into ours.

    Args:
        error: error of the parser, which repeats the place at the end of its message.
        source: name of the file.
        line: line to name if the parser knows none, as it counts.
        first: line of the file that the parser counts as the first.
    """
    return to_error(_PLACE.sub("", error.msg), source, error.lineno or line, first=first)


def to_error(message: str, source: str, line: int, *, first: int = 1) -> CorpusFormatError:
    """Build an error from a message of the parser and its line, as the parser counts them."""
    shifted = _LINE.sub(lambda match: f"line {int(match[1]) + first - 1}", message)
    if shifted.startswith("no element found"):
        shifted = "no element found: the file is empty or cut off"
    if "Invalid bytes" in shifted or "not proper UTF-8" in shifted:
        shifted += f". Files are read as UTF-8. Convert it and its declaration, {CONVERT}"
    return CorpusFormatError(f"{source}, line {max(line, 1) + first - 1}: {shifted.strip()}")


def forget(element: Element) -> None:
    """Free a record and everything before it; its tail, which the parser may still extend, stays."""
    parent = element.getparent()
    element.clear(keep_tail=True)
    # An element keeps all earlier siblings alive through its parent.
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def parse_tree(content: str, source: str) -> Element:
    """Parse a whole file, and return its root.

    Raises:
        CorpusFormatError: the file is not well-formed, declares entities, or refers to one that XML itself
            does not define.
    """
    from lxml import etree

    parser = etree.XMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, **SAFE)
    try:
        # A lone surrogate must reach the parser, which refuses it and names its line.
        encoded = content.removeprefix("\ufeff").encode(errors="surrogatepass")
        root = etree.fromstring(move_blanks(encoded), parser)
    except etree.XMLSyntaxError as error:
        raise explain(error, source) from error
    # The parser drops an unknown entity with a warning only.
    for entry in parser.error_log:
        raise CorpusFormatError(f"{source}, line {entry.line}: {entry.message}")
    check_place(root, source, root=str(root.tag), records="records")
    for reference in root.iter(etree.Entity):
        raise CorpusFormatError(
            f"{source}, line {reference.sourceline}: found {reference.text}, expected text"
        )
    return root
