"""Optional steps after tagging: they add attributes to spans, and never move, drop or relabel one.

A step takes documents and yields them one by one, in constant memory, so steps follow a tagger as
further stages of a stream. A missing extra is an error at once, before the first document is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from openmed_ner.errors import InputError, suggest
from openmed_ner.inference.attributes.abbreviations import add_abbreviations
from openmed_ner.inference.attributes.context import add_context
from openmed_ner.inference.attributes.identifiers import add_identifiers
from openmed_ner.terminologies.store import find_store
from openmed_ner.text import Document
from openmed_ner.text.definitions import Definition, find_definitions

__all__ = [
    "STEPS",
    "Definition",
    "add_abbreviations",
    "add_attributes",
    "add_context",
    "add_identifiers",
    "available_steps",
    "find_definitions",
]

Step = Callable[[Iterable[Document]], Iterator[Document]]
STEPS: dict[str, Step] = {
    "abbreviations": add_abbreviations,
    "context": add_context,
    "identifiers": add_identifiers,
}


def add_attributes(
    documents: Iterable[Document], steps: Sequence[str], *, terminologies: str | Path | None = None
) -> Iterator[Document]:
    """Add the attributes of several steps to the spans of documents.

    Args:
        documents: tagged documents.
        steps: names in ``STEPS``, in order; none changes nothing.
        terminologies: folder of compiled terminologies, for ``identifiers``. If ``None``, that of the
            environment variable ``OPENMED_NER_TERMINOLOGIES``.

    Raises:
        InputError: a step is unknown, or there are no terminologies for it.
        MissingExtraError: a step needs a package that is not installed.
    """
    if unknown := [step for step in steps if step not in STEPS]:
        near = suggest(unknown[0], STEPS) or f"; known: {', '.join(STEPS)}"
        raise InputError(f"unknown step {unknown[0]!r}{near}")
    functions: Mapping[str, Step] = {
        **STEPS,
        "identifiers": partial(add_identifiers, terminologies=terminologies),
    }
    stream = iter(documents)
    for step in steps:
        stream = functions[step](stream)
    return stream


def available_steps() -> tuple[str, ...]:
    """Names of the steps that work here: extras are installed, and the environment names terminologies.

    Nothing is loaded for the answer.
    """
    available = {"abbreviations"}
    if all(map(find_spec, ("spacy", "negspacy"))):
        available.add("context")
    try:
        find_store(None)
    except InputError:
        pass
    else:
        available.add("identifiers")
    return tuple(step for step in STEPS if step in available)
