"""Small terminologies, and a slow way to look names up in a lexicon."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from openmed_ner.terminologies import Lexicon, build
from openmed_ner.terminologies.hashing import hash_keys
from openmed_ner.terminologies.lexicon import split_hashes


def look_up(lexicon: Lexicon, key: str) -> int:
    """Senses of a key, by a search through its bucket; 0 if it is not there."""
    buckets, residuals = split_hashes(hash_keys([key]), lexicon.bits)
    end = int(np.cumsum(lexicon.counts, dtype=np.int64)[buckets[0]])
    bucket = range(end - int(lexicon.counts[buckets[0]]), end)
    return sum(int(lexicon.senses[place]) for place in bucket if lexicon.residuals[place] == residuals[0])


def write_table(path: Path, lines: Sequence[str]) -> None:
    """Write a compressed table."""
    with lzma.open(path, "wt", encoding="utf-8", newline="\n") as file:
        file.write("".join(f"{line}\n" for line in lines))


def build_diseases(folder: Path, names: Sequence[str]) -> Path:
    """Compile a terminology of some diseases."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"MONDO:{number}\t{name}\t" for number, name in enumerate(names, start=1)]
    write_table(folder / "mondo-2026-05-names.tsv.xz", ["id\tname\tsynonyms", *rows])
    build([folder], folder / "compiled")
    return folder / "compiled"
