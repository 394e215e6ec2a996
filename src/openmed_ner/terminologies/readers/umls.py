"""Read the Metathesaurus of UMLS (RRF) from a licensed copy: names, semantic types and parents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.terminologies.readers.records import Record, base_name, iter_lines, keep_ids

Row = tuple[int, Sequence[str]]
_NUMBERS = {
    "Disease": "T019 T020 T037 T046 T047 T048 T049 T184 T190 T191",
    "Chemical": "T103 T104 T109 T114 T120 T121 T122 T123 T125 T127 T130 T131 T195 T196 T197 T200",
    "Gene": "T028 T116 T126 T129 T192",
    "Species": "T002 T004 T005 T007 T008 T010 T011 T012 T013 T014 T015 T016 T194 T204",
    "Anatomy": "T017 T018 T021 T022 T023 T024 T029 T030 T031",
    "CellType": "T025",
}
UMLS_TYPES: Mapping[str, str] = {
    number: label for label, numbers in _NUMBERS.items() for number in numbers.split(" ")
}
"""Types of concepts by semantic type of UMLS."""
_UMLS_XREFS = {"MSH": "MESH", "OMIM": "OMIM", "SNOMEDCT_US": "SNOMEDCT", "NCI": "NCIT", "NCBI": "NCBITaxon"}
"""Prefix of the codes of a source; those of other sources are no cross-references."""


def is_umls(path: Path) -> bool:
    """True for ``MRCONSO.RRF`` and for a folder with it."""
    if path.is_dir():
        return any((path / name).is_file() for name in ("MRCONSO.RRF", "MRCONSO.RRF.gz"))
    return base_name(path) == "MRCONSO.RRF"


def read_umls(
    path: Path,
    *,
    languages: Sequence[str] = (),
    sources: Sequence[str] = (),
    suppressed: bool = False,
    typed: bool = True,
) -> Iterator[Record]:
    """Yield the concepts of UMLS, in the order of ``MRCONSO.RRF``.

    Args:
        path: ``MRCONSO.RRF`` or its folder. ``MRSTY.RRF`` beside it has the semantic types, ``MRREL.RRF`` the
            parents if it is there.
        languages: languages of names; English (``ENG``) if empty.
        sources: source vocabularies whose names and relations count, such as ``MSH``; all if empty.
        suppressed: if true, suppressed names count, too.
        typed: if true, concepts have the types of their semantic types, and those of other ones are left out.

    Raises:
        InputError: a file cannot be opened.
        CorpusFormatError: a row has another number of cells, or the rows of a concept do not stand together.
    """
    names_file = _beside(path, "MRCONSO.RRF")
    types = _read_umls_types(_beside(names_file, "MRSTY.RRF")) if typed else {}
    relations = names_file.with_name(names_file.name.replace("MRCONSO", "MRREL"))
    parents = _read_umls_parents(relations, sources) if relations.is_file() else {}
    kept_languages = {language.upper() for language in languages or ("ENG",)}

    for cui, group in groupby(_iter_rrf(names_file, 18), key=lambda row: row[1][0]):
        rows = [
            row
            for row in group
            if row[1][1] in kept_languages
            and (not sources or row[1][11] in sources)
            and (suppressed or row[1][16] == "N")
        ]
        if not rows or (typed and cui not in types):
            continue
        # The preferred form of the preferred term comes first, if it is among the chosen names.
        rows.sort(key=lambda row: (row[1][2] != "P", row[1][4] != "PF", row[1][6] != "Y"))
        xrefs = (f"{_UMLS_XREFS[cells[11]]}:{cells[13]}" for _, cells in rows if cells[11] in _UMLS_XREFS)
        yield Record(
            f"line {min(number for number, _ in rows)}",
            f"UMLS:{cui}",
            rows[0][1][14],
            tuple(cells[14] for _, cells in rows),
            tuple(f"UMLS:{parent}" for parent in parents.get(cui, ())),
            keep_ids(xrefs),
            tuple(types.get(cui, ())),
        )


def _beside(path: Path, name: str) -> Path:
    """A file of a folder, or beside a file; compressed if only such a one is there.

    Raises:
        InputError: it is missing.
    """
    folder = path if path.is_dir() else path.parent
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise InputError(f"{folder} holds no {name}; copy it from the release, or name the type with --type")


def _iter_rrf(path: Path, n_cells: int) -> Iterator[Row]:
    for number, line in iter_lines(path):
        cells = line.split("|")
        if len(cells) != n_cells + 1 or cells[-1]:
            raise CorpusFormatError(f"{path}, line {number}: expected {n_cells} cells, each ended by '|'")
        yield number, cells


def _read_umls_types(path: Path) -> dict[str, dict[str, None]]:
    types: dict[str, dict[str, None]] = defaultdict(dict)
    for _, cells in _iter_rrf(path, 6):
        if label := UMLS_TYPES.get(cells[1]):
            types[cells[0]][label] = None
    return types


def _read_umls_parents(path: Path, sources: Collection[str]) -> dict[str, dict[str, None]]:
    """Parents of concepts. A relation is that of the second concept to the first."""
    parents: dict[str, dict[str, None]] = defaultdict(dict)
    for _, cells in _iter_rrf(path, 16):
        first, relation, second = cells[0], cells[3], cells[4]
        if first == second or (sources and cells[10] not in sources) or cells[14] not in ("N", ""):
            continue
        if relation == "PAR":
            parents[first][second] = None
        elif relation == "CHD":
            parents[second][first] = None
    return parents
