"""The sources we know, and under what terms their texts may be used.

The class of a source is the strictest of what its texts and its compilers ask; where nobody states
anything it is ``unknown``, never a guess. A source that is not listed is ``unknown`` unless its user
says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from openmed_ner.errors import InputError

LicenceClass = Literal["permissive", "non-commercial", "unknown"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where passages come from.

    Attributes:
        name: as passages name it.
        licence: the terms, as far as they are stated.
        licence_class: what they amount to.
        home: where it is published; empty if unknown.
    """

    name: str
    licence: str
    licence_class: LicenceClass
    home: str = ""


_BMC = "articles CC BY (BioMed Central); the compilation asks for non-commercial academic use"
_SUMPUBMED = "https://github.com/vgupta123/sumpubmed"
_GOVERNMENT = "United States Government publication"
_PUBMED = "abstracts under the terms of PubMed"

SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Source("sumpubmed-text", _BMC, "non-commercial", _SUMPUBMED),
        Source("sumpubmed-abstract", _BMC, "non-commercial", _SUMPUBMED),
        Source("aci-bench-notes", "CC BY 4.0", "permissive", "https://github.com/wyim/aci-bench"),
        Source("clinical-trials-criteria", _GOVERNMENT, "permissive", "https://clinicaltrials.gov"),
        Source("clinicaltrials", _GOVERNMENT, "permissive", "https://clinicaltrials.gov"),
        Source("cord19-100", "none stated; terms of CORD-19 and PubMed", "unknown"),
        Source(
            "e3c-english",
            "Creative Commons, file by file; some non-commercial",
            "non-commercial",
            "https://github.com/hltfbk/E3C-Corpus",
        ),
        Source("litcovid-test", "none stated; " + _PUBMED, "unknown"),
        Source("medquad", "CC BY 4.0", "permissive", "https://github.com/abachaa/MedQuAD"),
        Source("pubmed", "none stated; " + _PUBMED, "unknown", "https://pubmed.ncbi.nlm.nih.gov"),
        Source("pubmedqa-test", f"MIT; {_PUBMED}", "permissive", "https://github.com/pubmedqa/pubmedqa"),
        Source(
            "tac-drug-labels", _GOVERNMENT, "permissive", "https://bionlp.nlm.nih.gov/tac2017adversereactions"
        ),
        Source(
            "train-split-texts", f"training splits of the benchmark corpora: {_PUBMED} and PMC", "permissive"
        ),
    )
}


def find_source(name: str, own: Mapping[str, LicenceClass]) -> Source:
    """Look a source up; what its user says of its class replaces what the table says."""
    source = SOURCES.get(name, Source(name, "none stated", "unknown"))
    if name not in own:
        return source
    licence = source.licence if name in SOURCES else "as stated by the user"
    return replace(source, licence=licence, licence_class=own[name])


def read_licences(pairs: list[str]) -> dict[str, LicenceClass]:
    """Read ``NAME=CLASS`` pairs.

    Raises:
        InputError: one is no such pair.
    """
    known = get_args(LicenceClass)
    found: dict[str, LicenceClass] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not name or value not in known:
            raise InputError(f"licence {pair!r}: expected NAME=CLASS with a class of {', '.join(known)}")
        found[name] = cast(LicenceClass, value)
    return found
