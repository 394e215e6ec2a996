"""A bundle's card made anew, from all that the bundle holds by now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openmed_ner.bundle import Bundle, seal
from openmed_ner.bundle.manifest import CARD, PARITY, RECORD, SCORES
from openmed_ner.publish.cards.model import describe_model
from openmed_ner.storage import write_json


def read_records(bundle: Bundle) -> dict[str, Any]:
    """What a bundle holds for its card: ``record``, ``scores`` and ``parity``, as far as they are there."""
    found = {
        name: bundle.read_json(file) if file in bundle.manifest.files else {}
        for name, file in (("record", RECORD), ("scores", SCORES), ("parity", PARITY))
    }
    return {**found, "scores": found["scores"].get("results", ()), "parity": found["parity"] or None}


def attach(bundle: Bundle, scores: Sequence[Mapping[str, Any]] | None = None) -> Bundle:
    """Write a bundle's card again, and its manifest, which names it.

    Args:
        bundle: its other files stay as they are.
        scores: evaluations to put into it as well, as ``evaluate --json`` writes them.
    """
    records = read_records(bundle)
    if scores is not None:
        write_json(bundle.folder / SCORES, {"results": list(scores)})
        records["scores"] = scores
    card = describe_model(bundle.manifest, **records)
    (bundle.folder / CARD).write_text(card, encoding="utf-8")
    return seal(bundle.folder, bundle.manifest)
