"""A tagger whose heads decide by the whole document, and a text where that changes a mention."""

from __future__ import annotations

import copy
from dataclasses import replace

from openmed_ner.inference.tagger import Tagger
from openmed_ner.tagging.document_decoding import DocumentChoice, DocumentMode

HEAD = "bc5cdr-disease"
TEXT = "Mean glucose drop (MGD) was measured. Patients with MGD had seizures."
"""The embedded model takes the second MGD for a disease; neither form is one where it is defined."""
MENTIONS = ["MGD", "seizures"]
"""Diseases of the embedded model without document-level decoding; the first goes with it."""


def decide(tagger: Tagger, mode: DocumentMode) -> Tagger:
    """The same tagger with a mode for every head."""
    deciding = copy.copy(tagger)
    choices = {corpus: DocumentChoice(mode, 0.01) for corpus in tagger.corpora}
    deciding.manifest = replace(tagger.manifest, document_decoding=choices)
    return deciding
