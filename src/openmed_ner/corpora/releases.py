"""The layouts of the releases: from the text files of the members of a split to documents.

There is one function per layout. The catalog names layout and members of every split; the text files come
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
MAX_DRIFT = 10
"""Largest distance of a mention from its offsets in the releases read here, in characters."""


def _open_single(files: TextFiles) -> tuple[str, io.StringIO]:
    """Open the only file of a member, with its name."""
    ((name, content),) = files.items()
    return name, io.StringIO(content, newline="\n")


def _pubtator(members: Sequence[TextFiles]) -> Iterator[Document]:
    name, file = _open_single(members[0])
    return read_pubtator(file, source=name)


def _pubtator_drifted(members: Sequence[TextFiles]) -> Iterator[Document]:
    """Read PubTator whose offsets count characters that the text has lost since."""
    name, file = _open_single(members[0])
    return read_pubtator(file, source=name, max_drift=MAX_DRIFT)


def _captions(members: Sequence[TextFiles]) -> Iterator[Document]:
    """Read PubTator with every caption that has a mention, and every fifth of the others, in order."""
    n_empty = 0
    for document in _pubtator_drifted(members):
        n_empty += not document.spans
        if document.spans or n_empty % 5 == 1:
            yield document


def _brat(members: Sequence[TextFiles]) -> Iterator[Document]:
    """Read texts and annotations, paired by name."""
    texts, annotations = (
        {PurePath(name).stem: (name, text) for name, text in files.items()} for files in members
    )
    if texts.keys() != annotations.keys():
        unpaired = min(texts.keys() ^ annotations.keys())
        raise CorpusError(f"{unpaired}: a text without annotations, or annotations without a text")
    for stem, (_, text) in texts.items():
        name, lines = annotations[stem]
        yield parse_brat(text, lines, id=stem, source=name)


def _brat_except(members: Sequence[TextFiles]) -> Iterator[Document]:
    """Read texts and annotations, without the documents whose tokens the third file has."""
    excluded = {document.id for document in _brat_only(members)}
    return (document for document in _brat(members[:2]) if document.id not in excluded)


def _brat_only(members: Sequence[TextFiles]) -> Iterator[Document]:
    """Read texts and annotations of the documents whose tokens the third file has."""
    return select(_brat(members[:2]), _iter_sections(members[2]))


def _iter_sections(files: TextFiles) -> Iterator[list[str]]:
    """Yield the sentences of each ``-DOCSTART-`` section of a file with one token per line."""
    _, file = _open_single(files)
    sections: list[list[str]] = []
    for block in file.read().split("\n\n"):
        tokens = [line.split("\t")[0] for line in block.splitlines() if line]
        if tokens[:1] == [_TOKENS]:
            sections.append([])
        elif tokens and sections:
            sections[-1].append(" ".join(tokens))
    return (section for section in sections if section)


def _bc2gm(members: Sequence[TextFiles]) -> Iterator[Document]:
    (name, sentences), (mentions_name, mentions) = map(_open_single, members)
    return read_bc2gm(sentences, mentions, source=name, mentions_source=mentions_name)


def _linnaeus(members: Sequence[TextFiles]) -> Iterator[Document]:
    """Read a folder of texts, the table of mentions, and the names of the split's texts."""
    texts, table, names = members
    return _table({PurePath(name).stem: text for name, text in texts.items()}, table, names, LINNAEUS)


def _s800(members: Sequence[TextFiles]) -> Iterator[Document]:
    """Read the same with PubMed numbers as names, and a fourth file with the number of each text."""
    texts, table, names, numbers = members
    rows = (line.rstrip().split("\t") for line in _open_single(numbers)[1])
    number_of = {row[0]: row[1].removeprefix("PMID:") for row in rows}
    keyed = {f"{PurePath(name).stem}:{number_of[PurePath(name).stem]}": text for name, text in texts.items()}
    selected = set(_open_single(names)[1].read().split())
    keys = "\n".join(key for key in keyed if key.partition(":")[2] in selected)
    # The table of S800 names texts as key:number, the list of a split by number alone.
    documents = _table(keyed, table, {"names": keys}, S800)
    return (replace(document, id=document.id.partition(":")[2]) for document in documents)


def _table(
    texts: Mapping[str, str], table: TextFiles, names: TextFiles, columns: Columns
) -> Iterator[Document]:
    selected = dict.fromkeys(_open_single(names)[1].read().split())
    if missing := selected.keys() - texts.keys():
        raise CorpusError(f"the split names a text that does not exist: {min(missing)}")
    source, lines = _open_single(table)
    documents = read_table(lines, texts, columns=columns, source=source)
    return (document for document in documents if document.id in selected)


def _abstracts(columns: Columns) -> Layout:
    """Make a reader of abstracts and a table of mentions."""

    def read(members: Sequence[TextFiles]) -> Iterator[Document]:
        (name, abstracts), (table_name, table) = map(_open_single, members)
        texts = read_abstracts(abstracts, source=name)
        return read_table(table, texts, columns=columns, source=table_name)

    return read


def _flair(members: Sequence[TextFiles]) -> Iterator[Document]:
    """Read lines of token, tag and following white space; every sentence becomes a document."""
    name, file = _open_single(members[0])
    return read_conll(file, source=name, tag_column=1, space_column=2)


def _gellus(members: Sequence[TextFiles]) -> Iterator[Document]:
    """Read the texts of AnatEM, the names of one split, and all Gellus sentences in three token files."""
    texts, names, *token_files = members
    originals = [Document(PurePath(name).stem, text) for name, text in texts.items()]
    selected = set(_open_single(names)[1].read().split())
    # HUNER's split cuts across AnatEM's, so every file may hold documents of this split.
    for files in token_files:
        restored = restore(list(_flair([files])), originals)
        yield from (document for document in restored if document.id in selected)


LAYOUTS: Mapping[str, Layout] = {
    "pubtator": _pubtator,
    "pubtator-drifted": _pubtator_drifted,
    "captions": _captions,
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
