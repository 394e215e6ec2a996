"""How each release lays its documents out: from the text files of its members to documents.

One function per layout; the catalog says which layout and which members a split has. The parts come
in the order of the members.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath

from openmed_ner.corpora.archive import TextFiles
from openmed_ner.corpora.restore import restore, select
from openmed_ner.errors import CorpusError
from openmed_ner.formats.bc2gm import read_bc2gm
from openmed_ner.formats.brat import parse_brat
from openmed_ner.formats.conll import read_conll
from openmed_ner.formats.pubtator import read_pubtator
from openmed_ner.formats.tables import CHEMDNER, CHEMPROT, LINNAEUS, S800, Columns, read_abstracts, read_table
from openmed_ner.text import Document

Layout = Callable[[Sequence[TextFiles]], Iterator[Document]]
_TOKENS = "-DOCSTART-"


def _lines(part: TextFiles) -> tuple[str, io.StringIO]:
    ((name, content),) = part.items()
    return name, io.StringIO(content, newline="\n")


def _pubtator(parts: Sequence[TextFiles]) -> Iterator[Document]:
    name, file = _lines(parts[0])
    return read_pubtator(file, source=name)


def _brat(parts: Sequence[TextFiles]) -> Iterator[Document]:
    """Texts and annotations, paired by name."""
    texts, annotations = (
        {PurePath(name).stem: (name, text) for name, text in part.items()} for part in parts
    )
    if texts.keys() != annotations.keys():
        lonely = min(texts.keys() ^ annotations.keys())
        raise CorpusError(f"{lonely}: a text without annotations, or annotations without a text")
    for stem, (_, text) in texts.items():
        name, lines = annotations[stem]
        yield parse_brat(text, lines, id=stem, source=name)


def _brat_except(parts: Sequence[TextFiles]) -> Iterator[Document]:
    """Texts, annotations, and tokens of the documents to leave out."""
    left_out = {document.id for document in _brat_only(parts)}
    return (document for document in _brat(parts[:2]) if document.id not in left_out)


def _brat_only(parts: Sequence[TextFiles]) -> Iterator[Document]:
    """Texts, annotations, and tokens of the documents to keep."""
    return select(_brat(parts[:2]), _iter_sections(parts[2]))


def _iter_sections(part: TextFiles) -> Iterator[list[str]]:
    """The sentences of each ``-DOCSTART-`` section of a file with one token per line."""
    _, file = _lines(part)
    sections: list[list[str]] = []
    for block in file.read().split("\n\n"):
        tokens = [line.split("\t")[0] for line in block.splitlines() if line]
        if tokens[:1] == [_TOKENS]:
            sections.append([])
        elif tokens and sections:
            sections[-1].append(" ".join(tokens))
    return (section for section in sections if section)


def _bc2gm(parts: Sequence[TextFiles]) -> Iterator[Document]:
    (name, sentences), (mentions_name, mentions) = map(_lines, parts)
    return read_bc2gm(sentences, mentions, source=name, mentions_source=mentions_name)


def _linnaeus(parts: Sequence[TextFiles]) -> Iterator[Document]:
    """A folder of texts, the table of mentions, and the names of the split's texts."""
    texts, table, names = parts
    return _table({PurePath(name).stem: text for name, text in texts.items()}, table, names, LINNAEUS)


def _s800(parts: Sequence[TextFiles]) -> Iterator[Document]:
    """The same with PubMed numbers as names, and a fourth file that gives each text its number."""
    texts, table, names, numbers = parts
    rows = (line.rstrip().split("\t") for line in _lines(numbers)[1])
    known = {row[0]: row[1].removeprefix("PMID:") for row in rows}
    keyed = {f"{PurePath(name).stem}:{known[PurePath(name).stem]}": text for name, text in texts.items()}
    wanted = set(_lines(names)[1].read().split())
    keys = "\n".join(key for key in keyed if key.partition(":")[2] in wanted)
    documents = _table(keyed, table, {"names": keys}, S800)
    return (replace(document, id=document.id.partition(":")[2]) for document in documents)


def _table(
    texts: Mapping[str, str], table: TextFiles, names: TextFiles, columns: Columns
) -> Iterator[Document]:
    wanted = dict.fromkeys(_lines(names)[1].read().split())
    if missing := wanted.keys() - texts.keys():
        raise CorpusError(f"the split names a text that is not there: {min(missing)}")
    source, lines = _lines(table)
    documents = read_table(lines, texts, columns=columns, source=source)
    return (document for document in documents if document.id in wanted)


def _abstracts(columns: Columns) -> Layout:
    """Abstracts and a table of mentions."""

    def read(parts: Sequence[TextFiles]) -> Iterator[Document]:
        (name, abstracts), (table_name, table) = map(_lines, parts)
        texts = read_abstracts(abstracts, source=name)
        return read_table(table, texts, columns=columns, source=table_name)

    return read


def _flair(parts: Sequence[TextFiles]) -> Iterator[Document]:
    """Token, tag, and whether white space follows, between blanks; a sentence is all there is."""
    name, file = _lines(parts[0])
    return read_conll(file, source=name, tag_column=1, space_column=2)


def _gellus(parts: Sequence[TextFiles]) -> Iterator[Document]:
    """The texts of AnatEM, the names of one split, and all Gellus sentences in three files of tokens."""
    texts, names, *tokens = parts
    originals = [Document(PurePath(name).stem, text) for name, text in texts.items()]
    wanted = set(_lines(names)[1].read().split())
    for part in tokens:
        restored = restore(list(_flair([part])), originals)
        yield from (document for document in restored if document.id in wanted)


LAYOUTS: Mapping[str, Layout] = {
    "pubtator": _pubtator,
    "brat": _brat,
    "brat-except": _brat_except,
    "brat-only": _brat_only,
    "bc2gm": _bc2gm,
    "linnaeus": _linnaeus,
    "s800": _s800,
    "chemprot": _abstracts(CHEMPROT),
    "chemdner": _abstracts(CHEMDNER),
    "flair": _flair,
    "gellus": _gellus,
}
