"""The folder that holds a model: layout, manifest, run record and registry. Needs no torch."""

from openmed_ner.bundle.manifest import BackboneReference, Bundle, FileEntry, Manifest
from openmed_ner.bundle.opening import open_bundle, seal

__all__ = ["BackboneReference", "Bundle", "FileEntry", "Manifest", "open_bundle", "seal"]
