"""The description of its model that a service gives to clients."""

from __future__ import annotations

from typing import Any

from openmed_ner.bundle import Manifest
from openmed_ner.corpora.catalog import CATALOG
from openmed_ner.inference.attributes import available_steps
from openmed_ner.inference.tagger import Tagger


def describe_bundle(tagger: Tagger, sha256: str | None) -> dict[str, Any]:
    """Describe a model to clients."""
    manifest: Manifest = tagger.manifest
    return {
        "name": manifest.name,
        "sha256": sha256,
        "version": manifest.version,
        "kind": manifest.kind,
        "precision": manifest.precision,
        "licence": manifest.licence,
        "backbone": manifest.backbone.name,
        "types": list(tagger.types),
        "main_types": list(tagger.main_types),
        "attributes": list(available_steps()),
        "heads": [
            {
                "corpus": head.corpus,
                "title": CATALOG[head.corpus].title if head.corpus in CATALOG else "",
                "types": list(head.labels),
                "scheme": head.scheme.value,
            }
            for head in manifest.heads
        ],
    }
