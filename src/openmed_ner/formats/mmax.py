"""MMAX2: words in one XML file, mentions as ranges of words in others (FSU-PRGE is released so).

The format does not record white space, so the text is the words joined by single blanks. Ranges that are not
contiguous become discontinuous spans.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

from openmed_ner.errors import AnnotationError, CorpusFormatError, InputError
from openmed_ner.formats.files import list_files
from openmed_ner.formats.tolerance import OnBad, excerpt, fail
from openmed_ner.formats.xml import SAFE
from openmed_ner.text import Document, Span

_WORDS = "_words.xml"
_LEVEL = "_level.xml"
_RANGE = re.compile(r"(\S+?)(?:\.\.(\S+))?")


def read_mmax(
    folder: Path, *, levels: Mapping[str, str] | None = None, on_bad: OnBad = fail
) -> Iterator[Document]:
    """Yield the documents of an MMAX2 project, from its folders ``Basedata`` and ``Markables``.

    Args:
        folder: searched for ``Basedata/<document>_words.xml``.
        levels: label by annotation level; by default all levels but ``sentence``, with their names as labels.
        on_bad: called with the error of each bad document and of each bad mention.

    Raises:
        InputError: there is no such file.
        CorpusFormatError: a file is not MMAX2 XML, or a range names an unknown word.
    """
    bases = list_files(folder, f"Basedata/*{_WORDS}")
    if not bases:
        raise InputError(f"{folder}: no Basedata/*{_WORDS} found")

    for project, group in groupby(bases, key=lambda path: path.parent.parent):
        stems = {base.name.removesuffix(_WORDS): base for base in group}
        files = _find_levels(project / "Markables", stems)
        for stem, base in stems.items():
            names = (
                levels if levels is not None else {name: name for name in files[stem] if name != "sentence"}
            )
            markables = {name: files[stem][name].read_bytes() for name in names if name in files[stem]}
            try:
                document = parse_mmax(
                    base.read_bytes(), markables, id=stem, source=str(base), labels=names, on_bad=on_bad
                )
            except CorpusFormatError as error:
                on_bad(error)
            else:
                yield document


def _find_levels(folder: Path, stems: Collection[str]) -> dict[str, dict[str, Path]]:
    """Find the annotation files of each document by level; ``a_b_gene`` belongs to ``a_b`` if that exists."""
    files: dict[str, dict[str, Path]] = {stem: {} for stem in stems}
    for path in sorted(folder.glob(f"*{_LEVEL}")):
        # Stems and levels may both contain underscores, so the longest known stem wins.
        steps = path.name.removesuffix(_LEVEL).split("_")
        names = (("_".join(steps[:at]), "_".join(steps[at:])) for at in reversed(range(1, len(steps))))
        stem, level = next(((stem, level) for stem, level in names if stem in files), ("", ""))
        if level:
            files[stem][level] = path
    return files


def parse_mmax(
    words: bytes,
    markables: Mapping[str, bytes],
    *,
    id: str,
    source: str,
    labels: Mapping[str, str] | None = None,
    on_bad: OnBad = fail,
) -> Document:
    """Build a document from the XML of its words and, for each level, of its mentions.

    Args:
        words: content of ``<document>_words.xml``.
        markables: content of the annotation files by level.
        id: id of the document.
        source: name of the words' file in messages.
        labels: label by level; by default, the name of the level.
        on_bad: called with the error of each bad mention.

    Raises:
        CorpusFormatError: as for :func:`read_mmax`.
    """
    text_words, order = _read_words(words, source)
    starts = list(accumulate((len(word) + 1 for word in text_words), initial=0))
    places = [(start, start + len(word)) for start, word in zip(starts, text_words, strict=False)]

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
                on_bad(AnnotationError(f"{source}, {level}: {excerpt(reference)} names no words: {error}"))
    return Document(id, " ".join(text_words), tuple(sorted(spans, key=lambda span: (span.start, span.end))))


def _read_words(content: bytes, source: str) -> tuple[list[str], dict[str, int]]:
    """Return the words in order, and the index of each by its id."""
    words: list[str] = []
    order: dict[str, int] = {}
    for element in _parse(content, "word", source):
        identifier, word = element.get("id"), "".join(element.itertext())
        if not identifier or not word.strip() or identifier in order:
            raise CorpusFormatError(f"{source}: word {identifier!r} is empty, has no id or a duplicate id")
        order[identifier] = len(words)
        words.append(word)
    return words, order


def _merge(reference: str, order: Mapping[str, int]) -> list[tuple[int, int]]:
    """Resolve ranges such as ``word_1..word_3,word_5`` to runs of words, first and last index, in order."""
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
            raise ValueError(f"{piece!r} is not a range")
        first, last = order[match[1]], order[match[2] or match[1]]
        if first > last:
            raise ValueError(f"{piece!r} runs backwards")
        yield first, last


def _parse(content: bytes, tag: str, source: str) -> list[Any]:
    """Return the elements with a tag in any namespace; entities and the network are off."""
    from lxml import etree

    parser = etree.XMLParser(**SAFE)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise CorpusFormatError(f"{source}, line {error.lineno}: not XML: {error.msg}") from error
    # An entity that is not resolved stays in the tree as a node.
    for entity in root.iter(etree.Entity):
        raise CorpusFormatError(f"{source}, line {entity.sourceline}: {entity.text} is not resolved")
    return list(root.iter(f"{{*}}{tag}"))
