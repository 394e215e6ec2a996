"""Entity types that are part of others, and the types that a result shows by default."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

BROADER: Mapping[str, str] = {
    "Protein": "Gene",
    "DNA": "Gene",
    "RNA": "Gene",
    "GeneFamily": "Gene",
    "Domain": "Gene",
    "AminoAcid": "Chemical",
    "Medication": "Chemical",
    "Cancer": "Disease",
    "AnatomicalSystem": "Anatomy",
    "Cell": "Anatomy",
    "CellularComponent": "Anatomy",
    "DevelopingAnatomicalStructure": "Anatomy",
    "ImmaterialAnatomicalEntity": "Anatomy",
    "MultiTissueStructure": "Anatomy",
    "Organ": "Anatomy",
    "OrganismSubdivision": "Anatomy",
    "OrganismSubstance": "Anatomy",
    "PathologicalFormation": "Anatomy",
    "Tissue": "Anatomy",
}
"""For a fine type of one corpus, the type of other corpora that includes it."""


CASE_REPORTS = "maccrobat"
"""Corpus of clinical case reports."""
DETAILS = frozenset(
    {
        "Administration",
        "Age",
        "ClinicalEvent",
        "Date",
        "Description",
        "Dosage",
        "Duration",
        "FamilyHistory",
        "Frequency",
        "History",
        "LabValue",
        "Procedure",
        "Severity",
        "Sex",
        "Symptom",
        "Test",
    }
)
"""Types of clinical cases. A head that has read only such cases often finds them where they are not."""


def find_main_types(types: Iterable[str], *, details: Collection[str] = DETAILS) -> tuple[str, ...]:
    """Leave out details, and each type whose broader type is also there; keep all if nothing else is there.

    Args:
        types: entity types of a model.
        details: types that are details unless there are no others.

    >>> find_main_types(["Protein", "CellType", "Gene", "Severity"])
    ('CellType', 'Gene')
    """
    distinct = tuple(dict.fromkeys(types))
    main = [label for label in distinct if BROADER.get(label) not in distinct and label not in details]
    return tuple(main) or distinct
