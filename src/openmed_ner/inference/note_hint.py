"""Say that a text reads like a clinic note, of which a model that has learnt from articles finds less.

A hint, not an error: nothing about the result changes. A model with a head of somebody's own data gets none,
since this may be data of clinics. Only the first documents of a run are looked at, so a stream costs no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from openmed_ner.text import Document
from openmed_ner.text.note_style import is_note_like

FIRST = 3
"""Documents of a run that are looked at."""
HINT = (
    "reads like a clinic note. The model has learnt from articles, so expect more errors than there: "
    "docs/notes.md has the scores, and what helps"
)
_TagFunction = Callable[[Iterable[Document]], Iterator[Document]]


def find_hint(documents: Sequence[Document], corpora: Iterable[str]) -> str | None:
    """Return the hint if one of the first documents reads like a note, and ``None`` if none does.

    Args:
        documents: all documents.
        corpora: names of the heads of the model.
    """
    note = next((document for document in documents[:FIRST] if is_note_like(document.text)), None)
    if note is None:
        return None
    from openmed_ner.corpora.catalog import CATALOG  # not above: most texts are no notes

    if not CATALOG.keys() >= set(corpora):
        return None
    # Texts without a name have their number.
    return f"{'This text' if note.id == '0' else note.id} {HINT}"


def watch_notes(tag: _TagFunction, corpora: Iterable[str], tell: Callable[[str], None]) -> _TagFunction:
    """Make a tag function that calls back, once, if one of the first documents reads like a note.

    Args:
        tag: tag function.
        corpora: names of the heads of the model.
        tell: called with the hint.
    """
    names = tuple(corpora)
    waiting = FIRST

    def watch(documents: Iterable[Document]) -> Iterator[Document]:
        nonlocal waiting
        for document in documents:
            if waiting:
                waiting -= 1
                if hint := find_hint([document], names):
                    waiting = 0
                    tell(hint)
            yield document

    return lambda documents: tag(watch(documents))
