"""The page on tables counts co-mentions, in each tool that is installed."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.formats.parquet import write_parquet
from openmed_ner.text import Document, Span
from pages import ROOT
from strategies import at_most

pytest.importorskip("pyarrow")
PAGE = (ROOT / "docs/tables.md").read_text(encoding="utf-8")
NAMES = ("Aspirin", "aspirin", "pain", "Pain", "asthma")
LABELS = ("Chemical", "Disease", "Species")
Row = tuple[str, str, int]

mentions = st.tuples(st.sampled_from(NAMES), st.sampled_from(LABELS), st.booleans())


def block(start: str) -> str:
    """The code of the page that begins with this line of a fence."""
    (code,) = re.findall(rf"^```{re.escape(start)}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return str(code)


def make_document(rows: list[tuple[str, str, bool]]) -> Document:
    text, spans = "", []
    for name, label, negated in rows:
        attributes = (("negated", True),) if negated else ()
        spans.append(Span(len(text), len(text) + len(name), label, attributes=attributes))
        text += f"{name} "
    return Document("note", text, tuple(spans))


def count_pairs(documents: list[Document]) -> list[Row]:
    """What the queries count, document by document."""
    counts: Counter[tuple[str, str]] = Counter()
    for document in documents:
        chemicals, diseases = (
            {
                document.mention(span).lower()
                for span in document.spans
                if span.label == label and not span.attributes
            }
            for label in ("Chemical", "Disease")
        )
        counts.update(product(chemicals, diseases))
    rows = [(*pair, count) for pair, count in counts.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))[:10]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@given(st.lists(st.lists(mentions, max_size=5).map(make_document), max_size=5))
@at_most(5)
def test_pandas_counts_what_python_counts(folder: Path, documents: list[Document]) -> None:
    pytest.importorskip("pandas")
    write_parquet(documents, folder / "entities")
    names: dict[str, Any] = {}
    exec(block('python title="pandas"'), names)
    assert [(row.chemical, row.disease, row.documents) for row in names["top"].itertuples()] == count_pairs(
        documents
    )


@given(st.lists(st.lists(mentions, max_size=5).map(make_document), max_size=5))
@at_most(5)
def test_duckdb_counts_what_python_counts(folder: Path, documents: list[Document]) -> None:
    try:
        duckdb = importlib.import_module("duckdb")
    except ModuleNotFoundError:
        pytest.skip("DuckDB is not installed")
    write_parquet(documents, folder / "entities")
    assert duckdb.sql(block("sql")).fetchall() == count_pairs(documents)
