"""The folder we ship: layout, manifest, run record and registry. Needs no torch."""

from openmed_ner.bundle.manifest import BackboneReference, Bundle, File, Manifest, open_bundle, seal

__all__ = ["BackboneReference", "Bundle", "File", "Manifest", "open_bundle", "seal"]
