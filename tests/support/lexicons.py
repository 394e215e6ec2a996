"""Small terminologies, and a slow way to look names up in a lexicon."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from openmed_ner.terminologies import Lexicon, build
from openmed_ner.terminologies.hashing import hash_keys
from openmed_ner.terminologies.lexicon import split_hashes
from openmed_ner.text import Document, Span


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


MESH = {
    "mesh2024-descriptors.tsv.xz": [
        "id\tname\tsynonyms\ttree_numbers\tncbi_taxon",
        "D009369\tNeoplasms\tCancer|Tumors\tC04\t",
        "D001943\tBreast Neoplasms\tBreast Cancer\tC04.588\t",
        "D010051\tOvarian Neoplasms\tOvarian Cancer\tC04.589\t",
        "D058186\tAcute Kidney Injury\tAcute Renal Failure\tC12.777\t",
        "D000544\tAlzheimer Disease\tAlzheimer Dementia\tC10.228\t",
        "D014947\tWounds and Injuries\tInjuries|Injury\tC26\t",
        "D008180\tLupus\tDisseminated lupus erythematosus\tC17.300\t",
        "D002945\tCisplatin\tcis-Diamminedichloroplatinum\tD01.210\t",
        "D051379\tMice\tMus|Mouse\tB01.050\t10090",
    ],
    "mesh2022-descriptor-terms.tsv.xz": [
        "id\tconcept\tterm\tdescriptor_preferred\tpermuted\tlexical_tag",
    ],
    "mesh2024-supplementary.tsv.xz": [
        "id\tname\tsynonyms\tmapped_to",
        "C562840\tBreast Cancer, Familial\t\tD001943",
    ],
    "mondo-names-xrefs.tsv.xz": [
        "id\tname\tsynonyms\txrefs",
        "0004975\tAlzheimer disease\tpresenile dementia\tMESH:D000544|OMIM:104300",
        "0000001\tnephropathia xyz\t\tOMIM:1",
    ],
    "hgnc-genes.tsv.xz": [
        "HGNC ID\tApproved symbol\tApproved name\tStatus\tAlias symbols\tPrevious symbols\t"
        "NCBI Gene ID(supplied by NCBI)",
        "HGNC:3236\tEGFR\tepidermal growth factor receptor\tApproved\tERBB, HER1\tERBB1\t1956",
    ],
    "mgi-genes.tsv.xz": ["ID\tsymbol\tsynonyms\tensembl", "95294\tEgfr\tErbb;wa2\t"],
    "rgd-genes.tsv.xz": ["ID\tsymbol\tsynonyms\tensembl", "2543\tEgfr\t\t"],
    "ncbi-taxonomy-2024-binomials.tsv.xz": [
        "name\ttaxid",
        "Escherichia coli\t562",
        "Mus musculus\t10090",
        "Mus\t10088",
    ],
    "ncbi-taxonomy-2024-common-names.tsv.xz": [
        "taxid\tcommon_name",
        "10088\tmice",
        "9606\thuman",
    ],
}
"""Rows of small tables, by file."""


def build_store(folder: Path, **options: Any) -> Path:
    """Compile small terminologies of several types.

    Args:
        folder: folder for the tables and the result.
        options: further arguments of :func:`openmed_ner.terminologies.build`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in MESH.items():
        write_table(folder / name, lines)
    build([folder], folder / "compiled", **options)
    return folder / "compiled"


def annotate_diseases(name: str, *mentions: tuple[str, str]) -> Document:
    """A document of diseases, each with its gold identifiers or an empty string."""
    text, spans = "", []
    for mention, gold in mentions:
        span = Span(len(text), len(text) + len(mention), "Disease")
        spans.append(span.with_attributes({"identifier": gold} if gold else {}))
        text += f"{mention}; "
    return Document(name, text, tuple(spans))
