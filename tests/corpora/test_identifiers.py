"""Gold identifiers: one way of writing for the ways of the releases."""

from __future__ import annotations

import pytest

from openmed_ner.corpora.identifiers import identify, read_identifiers
from openmed_ner.formats.structure import Annotation, Structure
from openmed_ner.text import Document, Span


@pytest.mark.parametrize(
    ("value", "label", "expected"),
    [
        ("D003920", "Disease", ["MESH:D003920"]),
        (" MESH:C537243 ", "Disease", ["MESH:C537243"]),
        ("D015179|D013274", "Disease", ["MESH:D015179", "MESH:D013274"]),
        ("D1+OMIM:2", "Disease", ["MESH:D1", "OMIM:2"]),
        ("D1|D1", "Disease", ["MESH:D1"]),
        ("-1", "Disease", []),
        ("-", "Gene", []),
        ("386463(Tax:10090),5", "Gene", ["NCBIGene:386463", "NCBIGene:5"]),
        ("117044;117043", "Gene", ["NCBIGene:117044", "NCBIGene:117043"]),
        ("species:ncbi:9606", "Species", ["NCBITaxon:9606"]),
        ("9606", "Species", ["NCBITaxon:9606"]),
        ("CVCL_0546", "CellLine", ["CVCL_0546"]),
        ("9606", "Disease", []),
        ("c|SUB|C|-174|G;CorrespondingGene:3569;CorrespondingDisease:MESH:D001,MESH:D002", "Variant", []),
    ],
)
def test_identifiers_have_their_prefixes(value: str, label: str, expected: list[str]) -> None:
    assert list(read_identifiers(value, label)) == expected


def test_mentions_get_the_identifiers_of_their_annotations() -> None:
    spans = (Span(0, 6, "SpecificDisease"), Span(7, 12, "Chemical"))
    annotations = (Annotation(spans[0].key, "T1", {"identifier": "D001249"}),)
    document = Structure(annotations=annotations).attach(Document("1", "asthma drugs", spans))
    first, second = identify(document, {"SpecificDisease": "Disease"})
    assert first.attributes == (("identifier", "MESH:D001249"),) and second == spans[1]
