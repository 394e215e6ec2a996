"""Read a snapshot of SNOMED CT (RF2) from a licensed copy: concepts with descriptions and parents."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.terminologies.readers.records import Record, iter_lines

SNOMED_TYPES: Mapping[str, str] = {
    "disorder": "Disease",
    "substance": "Chemical",
    "product": "Chemical",
    "medicinal product": "Chemical",
    "organism": "Species",
    "body structure": "Anatomy",
    "cell": "CellType",
}
"""Types of concepts by semantic tag of SNOMED CT."""
_TAG = re.compile(r"(.*\S)\s+\(([^()]+)\)")
_FULL_NAME, _IS_A = "900000000000003001", "116680003"


def is_snomed(path: Path) -> bool:
    """True for a file of descriptions of SNOMED CT and for a folder with one."""
    if path.is_dir():
        return next(path.glob("**/sct2_Description_*"), None) is not None
    return path.name.startswith("sct2_Description_")


def read_snomed(path: Path, *, languages: Sequence[str] = (), typed: bool = True) -> Iterator[Record]:
    """Yield the concepts of a snapshot of SNOMED CT.

    Args:
        path: the file of descriptions (``sct2_Description_Snapshot-en_…``), or a folder that holds it at any
            depth. Relationships beside it give the parents.
        languages: languages of names, such as ``en``; all of the files if empty.
        typed: if true, concepts have the types of their semantic tags, and those of other ones are left out.

    Raises:
        InputError: a file cannot be opened, or there is no snapshot.
        CorpusFormatError: a column is missing, a row has another number of cells, or a description is there
            twice, as in a full release.
    """
    files = list_snomed_files(path)
    kept_languages = {language.lower() for language in languages}
    names: dict[str, list[tuple[bool, int, str]]] = defaultdict(list)
    lines: dict[str, int] = {}
    for file in (file for file in files if "Description" in file.name):
        for number, row in _iter_rf2(file, ("id", "active", "conceptId", "languageCode", "typeId", "term")):
            if row["id"] in lines:
                raise CorpusFormatError(
                    f"{file}, line {number}: description {row['id']} is there twice; "
                    "read a snapshot, not a full release"
                )
            lines[row["id"]] = number
            if row["active"] == "1" and (not kept_languages or row["languageCode"].lower() in kept_languages):
                names[row["conceptId"]].append((row["typeId"] != _FULL_NAME, number, row["term"]))

    parents: dict[str, list[str]] = defaultdict(list)
    for file in (file for file in files if "Relationship" in file.name):
        for _, row in _iter_rf2(file, ("active", "sourceId", "destinationId", "typeId")):
            if row["active"] == "1" and row["typeId"] == _IS_A:
                parents[row["sourceId"]].append(f"SNOMEDCT:{row['destinationId']}")

    for concept, terms in names.items():
        (is_synonym, number, name), *rest = sorted(terms)
        tagged = _TAG.fullmatch(name) if not is_synonym else None
        label = SNOMED_TYPES.get(tagged[2]) if tagged else None
        if typed and label is None:
            continue
        yield Record(
            f"line {number}",
            f"SNOMEDCT:{concept}",
            tagged[1] if tagged else name,
            tuple(term for _, _, term in rest),
            tuple(dict.fromkeys(parents.get(concept, ()))),
            (),
            (label,) if label and typed else (),
        )


def list_snomed_files(path: Path) -> list[Path]:
    """Files of descriptions and relationships of a snapshot.

    Raises:
        InputError: there are no descriptions.
    """
    folder = path if path.is_dir() else path.parent
    pattern = "**/sct2_*" if path.is_dir() else "sct2_*"
    files = sorted(file for file in folder.glob(pattern) if "Snapshot" in file.name)
    relationships = [file for file in files if file.name.startswith("sct2_Relationship_")]
    texts = [file for file in files if file.name.startswith("sct2_Description_")]
    texts = texts if path.is_dir() else [path]
    if not texts:
        raise InputError(f"{path} holds no sct2_Description_Snapshot file of SNOMED CT")
    return [*texts, *relationships]


def _iter_rf2(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    header: list[str] = []
    for number, line in iter_lines(path):
        cells = line.split("\t")
        if not header:
            header = cells
            if missing := [column for column in columns if column not in header]:
                raise CorpusFormatError(f"{path}, line 1: there is no column {missing[0]!r}")
            continue
        if len(cells) != len(header):
            raise CorpusFormatError(f"{path}, line {number}: {len(cells)} cells; expected {len(header)}")
        yield number, dict(zip(header, cells, strict=True))
