"""MMAX2: words in one XML file, mentions as ranges of words in others (FSU-PRGE is released so).

There is no white space between words, so the text is the words joined by single blanks. Ranges that
are not contiguous become discontinuous spans.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.text import Document, Span

_WORDS = "_words.xml"
_LEVEL = "_level.xml"
_RANGE = re.compile(r"(\S+?)(?:\.\.(\S+))?")


def read_mmax(folder: Path, *, levels: Mapping[str, str] | None = None) -> Iterator[Document]:
    """Yield the documents of an MMAX2 project, from its folders ``Basedata`` and ``Markables``.

    Args:
        folder: searched for ``Basedata/<document>_words.xml``.
        levels: annotation level to label; by default every level but ``sentence``, under its own name.

    Raises:
        InputError: there is no such file.
        CorpusFormatError: a file is no MMAX2 XML, or a range names an unknown word.
    """
    bases = sorted(folder.rglob(f"Basedata/*{_WORDS}"))
    if not bases:
        raise InputError(f"{folder}: found no Basedata/*{_WORDS}")
    for project, group in groupby(bases, key=lambda path: path.parent.parent):
        stems = {base.name.removesuffix(_WORDS): base for base in group}
        files = _find_levels(project / "Markables", stems)
        for stem, base in stems.items():
            names = (
                levels if levels is not None else {name: name for name in files[stem] if name != "sentence"}
            )
            markables = {name: files[stem][name].read_bytes() for name in names if name in files[stem]}
            yield parse_mmax(base.read_bytes(), markables, id=stem, source=str(base), labels=names)


def _find_levels(folder: Path, stems: Collection[str]) -> dict[str, dict[str, Path]]:
    """The annotation files of each document by level; ``a_b_gene`` is of ``a_b`` if there is one."""
    found: dict[str, dict[str, Path]] = {stem: {} for stem in stems}
    for path in sorted(folder.glob(f"*{_LEVEL}")):
        steps = path.name.removesuffix(_LEVEL).split("_")
        names = (("_".join(steps[:at]), "_".join(steps[at:])) for at in reversed(range(1, len(steps))))
        stem, level = next(((stem, level) for stem, level in names if stem in found), ("", ""))
        if level:
            found[stem][level] = path
    return found


def parse_mmax(
    words: bytes,
    markables: Mapping[str, bytes],
    *,
    id: str,
    source: str,
    labels: Mapping[str, str] | None = None,
) -> Document:
    """Build a document from the XML of its words and, for each level, of its mentions.

    Args:
        words: content of ``<document>_words.xml``.
        markables: annotation level to the content of its file.
        id: what to call the document.
        source: what to call the words' file in messages.
        labels: annotation level to label; by default, a level is its own label.

    Raises:
        CorpusFormatError: as for :func:`read_mmax`.
    """
    pieces: list[str] = []
    places: list[tuple[int, int]] = []
    order: dict[str, int] = {}
    start = 0
    for element in _parse(words, "word", source):
        identifier, word = element.get("id"), "".join(element.itertext())
        if not identifier or not word.strip() or identifier in order:
            raise CorpusFormatError(f"{source}: word {identifier!r} is empty, nameless or there twice")
        order[identifier] = len(places)
        places.append((start, start + len(word)))
        pieces.append(word)
        start += len(word) + 1
    spans = []
    for level, content in markables.items():
        label = level if labels is None else labels[level]
        for markable in _parse(content, "markable", f"{source}, {level}"):
            reference = markable.get("span") or ""
            try:
                runs = [(places[first][0], places[last][1]) for first, last in _merge(reference, order)]
                fragments = tuple(runs) if len(runs) > 1 else ()
                spans.append(Span(runs[0][0], runs[-1][1], label, fragments=fragments))
            except (KeyError, ValueError) as error:
                raise CorpusFormatError(
                    f"{source}, {level}: {reference[:60]!r} names no words: {error}"
                ) from error
    return Document(id, " ".join(pieces), tuple(sorted(spans, key=lambda span: (span.start, span.end))))


def _merge(reference: str, order: Mapping[str, int]) -> list[tuple[int, int]]:
    """The runs of words that ranges such as ``word_1..word_3,word_5`` name, first and last, in order."""
    runs: list[tuple[int, int]] = []
    for first, last in sorted(_iter_ranges(reference, order)):
        if runs and first <= runs[-1][1] + 1:
            runs[-1] = runs[-1][0], max(runs[-1][1], last)
        else:
            runs.append((first, last))
    return runs


def _iter_ranges(reference: str, order: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    for piece in reference.split(","):
        match = _RANGE.fullmatch(piece.strip())
        if match is None:
            raise ValueError(f"{piece!r} is no range")
        first, last = order[match[1]], order[match[2] or match[1]]
        if first > last:
            raise ValueError(f"{piece!r} runs backwards")
        yield first, last


def _parse(content: bytes, tag: str, source: str) -> list[Any]:
    """The elements of some name, whatever their namespace; entities and the network are off."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise CorpusFormatError(f"{source}, line {error.lineno}: not XML: {error.msg}") from error
    for entity in root.iter(etree.Entity):
        raise CorpusFormatError(f"{source}, line {entity.sourceline}: {entity.text} is not resolved")
    return list(root.iter(f"{{*}}{tag}"))
