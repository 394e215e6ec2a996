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
    from openmed_ner.api import evaluate, export, load, pretrain, suggest, train
    from openmed_ner.bundle.manifest import Bundle, Manifest
    from openmed_ner.bundle.opening import open_bundle
    from openmed_ner.corpora.split import load_split
    from openmed_ner.data import read_examples
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
    from openmed_ner.formats import read_documents, write_documents
    from openmed_ner.inference.suggestion import Suggestion
    from openmed_ner.inference.tagger import Tagger
    from openmed_ner.text.dataframe import to_dataframe
    from openmed_ner.text.document import Account, Coverage, Document, Span, Token
    from openmed_ner.text.tags import TagScheme
    from openmed_ner.training.config import LoraSettings, PretrainRecipe, Recipe, Schedule

_MODULES = {
    "api": ("evaluate", "export", "load", "pretrain", "suggest", "train"),
    "bundle.manifest": ("Bundle", "Manifest"),
    "bundle.opening": ("open_bundle",),
    "corpora.split": ("load_split",),
    "data": ("read_examples",),
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
    "formats": ("read_documents", "write_documents"),
    "inference.suggestion": ("Suggestion",),
    "inference.tagger": ("Tagger",),
    "text.dataframe": ("to_dataframe",),
    "text.document": ("Account", "Coverage", "Document", "Span", "Token"),
    "text.tags": ("TagScheme",),
    "training.config": ("LoraSettings", "PretrainRecipe", "Recipe", "Schedule"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

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
    "LoraSettings",
    "Manifest",
    "MissingExtraError",
    "OpenMedError",
    "PretrainRecipe",
    "Recipe",
    "RecipeError",
    "RunError",
    "Schedule",
    "Scores",
    "Span",
    "Suggestion",
    "TagScheme",
    "Tagger",
    "Token",
    "evaluate",
    "export",
    "load",
    "load_split",
    "open_bundle",
    "pretrain",
    "read_documents",
    "read_examples",
    "suggest",
    "to_dataframe",
    "train",
    "write_documents",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
