"""The texts that a tagger is given: checked, numbered, and cut into blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from openmed_ner.errors import InputError
from openmed_ner.formats.tolerance import LONE_SURROGATE, OnBad
from openmed_ner.text import Document

Result = TypeVar("Result")


def iter_documents(
    texts: Iterable[str | Document], on_bad: OnBad, errors: list[InputError]
) -> Iterator[Document]:
    """Yield the texts as documents; an error that ``on_bad`` raises ends them, and is added to ``errors``."""
    for number, text in enumerate(texts):
        try:
            document = _to_document(number, text, on_bad)
        except InputError as error:
            errors.append(error)
            return
        if document is not None:
            yield document


def _to_document(number: int, text: object, on_bad: OnBad) -> Document | None:
    content = text.text if isinstance(text, Document) else text
    name = f"document {text.id!r}" if isinstance(text, Document) else f"text {number}"
    if not isinstance(content, str):
        on_bad(InputError(f"{name}: expected a string, found {describe(content)}"))
    elif match := LONE_SURROGATE.search(content):
        reason = f"half of a surrogate pair at character {match.start()}, which is not a character"
        on_bad(InputError(f"{name}: found {reason}"))
    else:
        return text if isinstance(text, Document) else Document(str(number), content)
    return None


def raise_last(results: Iterator[Result], errors: list[InputError]) -> Iterator[Result]:
    """Yield results, then raise the error that ended the texts."""
    yield from results
    if errors:
        raise errors[0]


def describe(value: object) -> str:
    """Describe a value that is not a text, in a few characters."""
    shown = repr(value)
    return shown if isinstance(value, float | type(None)) else f"{type(value).__name__} {shown[:40]}"


def iter_blocks(documents: Iterable[Document], size: int | None) -> Iterator[Iterable[Document]]:
    """Yield blocks of documents, or all of them as one stream."""
    if size is None:
        yield documents
        return
    stream = iter(documents)
    while block := list(islice(stream, size)):
        yield block
