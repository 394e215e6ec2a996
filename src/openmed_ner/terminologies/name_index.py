"""The names of one type as a file: which concepts a name means, and what these are called.

A name is looked up by the hash of its key (:func:`.normalisation.name_key`), so a look-up costs the same in
a million names. Further hashes stand for forms that terminologies do not list: a case-sensitive name in other
case, and the words of a name in another order ("cancer of the breast").
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from openmed_ner.errors import InputError
from openmed_ner.terminologies import trigrams
from openmed_ner.terminologies.arrays import open_arrays, write_arrays
from openmed_ner.terminologies.blocks import Blocks
from openmed_ner.terminologies.hashing import HashTable, hash_keys
from openmed_ner.terminologies.matcher import FUNCTION_WORDS
from openmed_ner.terminologies.merging import GENE, VARIANT, Entry
from openmed_ner.terminologies.normalisation import CASED, name_key, normalise
from openmed_ner.terminologies.trigrams import TrigramIndex

BAG = "+"
"""First piece of a key whose words are in alphabetical order."""
ID = "#"
"""First character of a key that is an identifier."""
SYMBOLIC = ("Gene", "Species", "CellLine")
"""Types whose names are symbols or proper names: similar ones mean something else, so there is no index of
trigrams, and the order of their words counts."""
_STRINGS = ("id", "name", "xref", "parent")
_RANK_SHIFT = 24
_NUMBER = (1 << _RANK_SHIFT) - 1
"""Bits of the number of a concept, and most concepts of one type."""
_MAX_REPEATED = 8
"""Entries that count for a name of a gene at most, so that its rank fits into the bits above."""
_TYPES_OF_ARRAYS = {
    "bucket_ends": "U32",
    "rests": "U32",
    "senses": "U32",
    "n_concepts": "U32",
    **{f"{name}_content": "U8" for name in _STRINGS},
    **{f"{name}_ends": "U32" for name in _STRINGS},
    **trigrams.TYPES_OF_ARRAYS,
}


def bag_key(key: str) -> str:
    """Key of the words of a normalised name in any order, without function words; empty for a single word."""
    pieces = sorted(piece for piece in key.split(" ") if piece not in FUNCTION_WORDS)
    return " ".join((BAG, *pieces)) if len(pieces) > 1 else ""


@dataclass(frozen=True, slots=True)
class NameIndex:
    """Names of one type.

    Attributes:
        hashes: numbers of keys.
        senses: number of the concept that each key means in the lower 24 bits, and the rank of the name above
            them, the meant concept first, ``(n_names,)``.
        ids: identifiers of the concepts.
        names: preferred names of the concepts.
        xrefs: identifiers in other terminologies, joined by ``|``, of each concept.
        parents: identifiers of the concepts above, joined by ``|``, of each concept.
        similar: trigrams of the names; empty for symbols.
    """

    hashes: HashTable
    senses: NDArray[np.uint32]
    ids: Blocks
    names: Blocks
    xrefs: Blocks
    parents: Blocks
    similar: TrigramIndex

    @classmethod
    def compile(cls, entries: Sequence[Entry], label: str) -> Self:
        """Index the names of concepts of one type.

        Raises:
            InputError: there are too many concepts.
        """
        if len(entries) > _NUMBER:
            raise InputError(
                f"{len(entries):,} concepts of the type {label}; at most {_NUMBER:,} can be indexed"
            )
        symbolic = label in SYMBOLIC
        rows: dict[tuple[str, int], int] = {}
        for number, entry in enumerate(entries):
            names = _iter_keys(entry, bags=not symbolic)
            for key, rank in chain(_rank_repeated(names) if label == GENE else names, _iter_id_keys(entry)):
                rows[key, number] = min(rank, rows.get((key, number), 255))
        hashes = hash_keys([key for key, _ in rows])
        targets = np.fromiter((number for _, number in rows), dtype=np.uint32, count=len(rows))
        ranks = np.fromiter(rows.values(), dtype=np.uint32, count=len(rows))
        senses = ranks << np.uint32(_RANK_SHIFT) | targets
        order = np.lexsort((senses, hashes))

        keys = [] if symbolic else sorted({key for key, _ in rows if _is_comparable(key)})
        return cls(
            HashTable.encode(hashes[order]),
            senses[order],
            Blocks.encode(entry.id for entry in entries),
            Blocks.encode(entry.name for entry in entries),
            Blocks.encode("|".join(entry.xrefs) for entry in entries),
            Blocks.encode("|".join(entry.parents) for entry in entries),
            TrigramIndex.compile(keys),
        )

    def write(self, path: Path) -> None:
        """Write a file that :meth:`open` maps into memory."""
        strings = {"id": self.ids, "name": self.names, "xref": self.xrefs, "parent": self.parents}
        write_arrays(
            path,
            {
                "bucket_ends": self.hashes.ends,
                "rests": self.hashes.rests,
                "senses": self.senses,
                "n_concepts": np.array([len(self.ids)], dtype=np.uint32),
                **{f"{name}_content": value.content for name, value in strings.items()},
                **{f"{name}_ends": value.ends for name, value in strings.items()},
                **self.similar.to_arrays(),
            },
        )

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file of names.

        Raises:
            InputError: it is missing or damaged.
        """
        arrays = open_arrays(path, _TYPES_OF_ARRAYS)
        hashes, senses = HashTable(arrays["bucket_ends"], arrays["rests"]), arrays["senses"]
        n_concepts = int(arrays["n_concepts"][0]) if len(arrays["n_concepts"]) else 0
        ids, names, xrefs, parents = (
            Blocks(arrays[f"{name}_content"], arrays[f"{name}_ends"], n_concepts) for name in _STRINGS
        )
        try:
            for table in (hashes, ids, names, xrefs, parents):
                table.check()
            if len(hashes.rests) != len(senses):
                raise ValueError("its tables differ in length")
            if int((senses & np.uint32(_NUMBER)).max(initial=0)) >= max(n_concepts, 1):
                raise ValueError("its names mean concepts that it does not hold")
            similar = TrigramIndex.from_arrays(arrays)
        except ValueError as error:
            raise InputError(f"{path} is damaged: {error}. Build the terminologies again") from error
        return cls(hashes, senses, ids, names, xrefs, parents, similar)

    def find(self, key: str) -> list[tuple[int, int]]:
        """Find the concepts that a key means.

        Returns:
            Numbers of concepts with the rank of the name, the lowest rank first.
        """
        places = self.hashes.find(int(hash_keys([key])[0]))
        senses = self.senses[places.start : places.stop].tolist()
        return [(sense & _NUMBER, sense >> _RANK_SHIFT) for sense in senses]

    def keep_known(self, keys: Sequence[str]) -> list[str]:
        """Those of some keys that are names, in their order."""
        numbers = hash_keys(keys).tolist()
        return [key for key, number in zip(keys, numbers, strict=True) if self.hashes.find(number)]

    def number_of(self, identifier: str) -> int | None:
        """Number of the concept with an identifier or a cross-reference; ``None`` if there is none."""
        numbers = self.find(f"{ID}{identifier}")
        return numbers[0][0] if numbers else None


def _iter_keys(entry: Entry, *, bags: bool) -> Iterator[tuple[str, int]]:
    """Yield the keys of a concept's names with their ranks."""
    for name, rank in entry.names:
        key = name_key(name)
        folded = normalise(name) if key.startswith(CASED) else key
        if not key:
            continue
        yield key, rank
        variant = rank | VARIANT
        if folded and folded != key:
            yield folded, variant
        if bags and (bag := bag_key(folded)):
            yield bag, variant


def _rank_repeated(names: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    """Rank the names of a gene: of two genes with one name in one rank, it means the one that more entries of
    terminologies give it to."""
    ranks: dict[str, list[int]] = defaultdict(list)
    for key, rank in names:
        ranks[key].append(rank)
    for key, given in ranks.items():
        yield key, min(given) * _MAX_REPEATED + _MAX_REPEATED - min(len(given), _MAX_REPEATED)


def _iter_id_keys(entry: Entry) -> Iterator[tuple[str, int]]:
    yield f"{ID}{entry.id}", 0
    for other in entry.xrefs:
        yield f"{ID}{other}", 1


def _is_comparable(key: str) -> bool:
    return not key.startswith((CASED, BAG, ID)) and 4 <= len(key) <= trigrams.MAX_KEY


def split_ids(joined: str) -> tuple[str, ...]:
    """Identifiers of one string of :attr:`NameIndex.xrefs` or :attr:`NameIndex.parents`."""
    return tuple(filter(None, joined.split("|")))
