"""Read the tables of diseases, chemicals and genes of the Comparative Toxicogenomics Database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from openmed_ner.errors import CorpusFormatError
from openmed_ner.terminologies.readers.records import Record, iter_lines, keep_ids
from openmed_ner.terminologies.sources import split_cell

_CTD = {
    "DiseaseName": ("DiseaseID", "Disease", ""),
    "ChemicalName": ("ChemicalID", "Chemical", ""),
    "GeneSymbol": ("GeneID", "Gene", "NCBIGene:"),
}
"""By the column of names: column of identifiers, type, and prefix that the identifiers lack."""


def read_ctd(path: Path) -> Iterator[Record]:
    """Yield the entries of CTD's diseases, chemicals or genes (``CTD_diseases.tsv`` and so on).

    Raises:
        InputError: it cannot be opened.
        CorpusFormatError: its columns are not named in a comment, or a row has another number of cells.
    """
    columns: list[str] = []
    for number, line in iter_lines(path):
        if line.startswith("#"):
            cells = line.lstrip("# ").split("\t")
            columns = cells if cells[0] in _CTD else columns
            continue
        cells = line.split("\t")
        if not columns or len(cells) != len(columns):
            expected = (
                f"{len(columns)} cells" if columns else f"a comment that names {' or '.join(_CTD)} before"
            )
            raise CorpusFormatError(f"{path}, line {number}: {len(cells)} cells; expected {expected}")

        row = dict(zip(columns, cells, strict=True))
        id_column, label, prefix = _CTD[columns[0]]
        synonyms = [row.get("GeneName", ""), *split_cell(row.get("Synonyms", ""))]
        alternatives = split_cell(row.get("AltDiseaseIDs", ""))
        yield Record(
            f"line {number}",
            f"{prefix}{row.get(id_column, '')}",
            row[columns[0]],
            tuple(filter(None, synonyms)),
            keep_ids(split_cell(row.get("ParentIDs", ""))),
            keep_ids(other.removeprefix("DO:") for other in alternatives),
            (label,),
        )
