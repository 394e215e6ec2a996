"""Optional steps after tagging: they add attributes to spans, and never move, drop or relabel one.

Only options that ask for it add the names of a vocabulary, or drop the mentions of other concepts.

A step takes documents and yields them one by one, in constant memory, so steps follow a tagger as
further stages of a stream. A missing extra is an error at once, before the first document is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from openmed_ner.errors import InputError, suggest
from openmed_ner.inference.attributes.options import IDENTIFIERS, IdentifierOptions
from openmed_ner.text import Document

if TYPE_CHECKING:
    from openmed_ner.inference.attributes.abbreviations import add_abbreviations
    from openmed_ner.inference.attributes.context import add_context
    from openmed_ner.inference.attributes.identifiers import add_identifiers, describe_concepts, match_names
    from openmed_ner.text.definitions import Definition, find_definitions

__all__ = [
    "STEPS",
    "Definition",
    "IdentifierOptions",
    "add_abbreviations",
    "add_attributes",
    "add_context",
    "add_identifiers",
    "available_steps",
    "describe_concepts",
    "find_definitions",
    "match_names",
]

STEPS: Mapping[str, str] = {
    "abbreviations": "add_abbreviations",
    "context": "add_context",
    IDENTIFIERS: "add_identifiers",
}
"""Function of each step, by its name. Its module is imported on first use."""
_MODULE_OF = {
    "Definition": "openmed_ner.text.definitions",
    "add_abbreviations": f"{__name__}.abbreviations",
    "add_context": f"{__name__}.context",
    "add_identifiers": f"{__name__}.identifiers",
    "describe_concepts": f"{__name__}.identifiers",
    "find_definitions": "openmed_ner.text.definitions",
    "match_names": f"{__name__}.identifiers",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def add_attributes(
    documents: Iterable[Document], steps: Sequence[str], identifiers: IdentifierOptions | None = None
) -> Iterator[Document]:
    """Add the attributes of several steps to the spans of documents.

    Args:
        documents: tagged documents.
        steps: names in ``STEPS``, in order; none changes nothing.
        identifiers: terminologies and vocabularies. If ``None``, the step ``identifiers`` has those of the
            environment variable ``OPENMED_NER_TERMINOLOGIES``.

    Raises:
        InputError: a step is unknown, or there are no terminologies for it.
        MissingExtraError: a step needs a package that is not installed.
    """
    if unknown := [step for step in steps if step not in STEPS]:
        near = suggest(unknown[0], STEPS) or f"; known: {', '.join(STEPS)}"
        raise InputError(f"unknown step {unknown[0]!r}{near}")
    options = identifiers or IdentifierOptions()
    stream = iter(documents)
    if options.match:
        stream = __getattr__("match_names")(stream, options)
    for step in steps:
        if step != IDENTIFIERS:
            stream = __getattr__(STEPS[step])(stream)
    if options.list_linked(steps) or options.under:
        stream = __getattr__("add_identifiers")(stream, options, steps)
    return stream


def available_steps() -> tuple[str, ...]:
    """Names of the steps that work here: extras are installed, and the environment names terminologies.

    Nothing is loaded for the answer.
    """
    available = {"abbreviations"}
    if all(map(find_spec, ("spacy", "negspacy"))):
        available.add("context")
    try:
        IdentifierOptions().list_linked([IDENTIFIERS])
    except InputError:
        pass
    else:
        available.add("identifiers")
    return tuple(step for step in STEPS if step in available)
