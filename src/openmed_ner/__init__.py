"""Biomedical named entity recognition that runs offline on a CPU.

>>> import openmed_ner
>>> tagger = openmed_ner.load()
>>> document = tagger("Metformin is used in type 2 diabetes.")

Importing this package loads neither torch, transformers nor onnxruntime; names are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openmed_ner.bundle.manifest import Bundle, Manifest, open_bundle
    from openmed_ner.corpora.split import load_split
    from openmed_ner.errors import (
        BundleError,
        CorpusError,
        CorpusFormatError,
        InputError,
        MissingExtraError,
        OpenMedError,
        RecipeError,
        RunError,
    )
    from openmed_ner.evaluation.scores import Counts, Scores
    from openmed_ner.formats import read_documents
    from openmed_ner.inference.tagger import Tagger
    from openmed_ner.text.dataframe import to_dataframe
    from openmed_ner.text.document import Account, Coverage, Document, Span, Token
    from openmed_ner.text.tags import TagScheme

_HOMES = {
    "bundle.manifest": ("Bundle", "Manifest", "open_bundle"),
    "corpora.split": ("load_split",),
    "errors": (
        "BundleError",
        "CorpusError",
        "CorpusFormatError",
        "InputError",
        "MissingExtraError",
        "OpenMedError",
        "RecipeError",
        "RunError",
    ),
    "evaluation.scores": ("Counts", "Scores"),
    "formats": ("read_documents",),
    "inference.tagger": ("Tagger",),
    "text.document": ("Account", "Coverage", "Document", "Span", "Token"),
    "text.tags": ("TagScheme",),
    "text.dataframe": ("to_dataframe",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Account",
    "Bundle",
    "BundleError",
    "CorpusError",
    "CorpusFormatError",
    "Counts",
    "Coverage",
    "Document",
    "InputError",
    "Manifest",
    "MissingExtraError",
    "OpenMedError",
    "RecipeError",
    "RunError",
    "Scores",
    "Span",
    "TagScheme",
    "Tagger",
    "Token",
    "load",
    "load_split",
    "open_bundle",
    "read_documents",
    "to_dataframe",
]


def load(bundle: str | None = None, *, backend: str | None = None, threads: int | None = None) -> Tagger:
    """Load a tagger: the embedded model, or the bundle or suite in a folder.

    Args:
        bundle: folder of a bundle, or of several that are used together; the embedded one if ``None``.
        backend: what computes a runtime bundle, ``onnxruntime`` or ``openvino``; if ``None`` what it was
            certified with.
        threads: processor threads to use; all of them if ``None``.

    Raises:
        BundleError: the bundle is missing, damaged, tampered with or unsafe.
        MissingExtraError: torch or OpenVINO is needed, and not installed.
    """
    from openmed_ner.inference.tagger import Tagger

    return Tagger.load(bundle, backend=backend, threads=threads)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
