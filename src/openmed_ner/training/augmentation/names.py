"""Names to put into training documents: mentions in training documents, and known short forms."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping

from openmed_ner.terminologies.normalisation import name_key
from openmed_ner.terminologies.short_forms import CERTAIN_COUNT, CERTAIN_SHARE, ShortForm
from openmed_ner.text import Document

LONGEST = 60
"""Characters of the longest name."""
_SHORT_SHARE = 0.4
"""Share of short forms among the names drawn, if there are any."""


class Names:
    """Names by type."""

    def __init__(
        self, documents: Mapping[str, Iterable[Document]], short_forms: Iterable[ShortForm] = ()
    ) -> None:
        """Collect names.

        Args:
            documents: training documents of each type that have all their mentions of it annotated.
            short_forms: short forms; those whose meaning is certain are used.
        """
        mentions = {label: _find_mentions(label, items) for label, items in documents.items()}
        forms = [form for form in short_forms if form.count >= CERTAIN_COUNT and form.share >= CERTAIN_SHARE]

        # A name of two types is of none, such as a protein that is also a chemical.
        names = [(label, mention) for label, texts in mentions.items() for mention in texts]
        names += [(form.type, form.short) for form in forms]
        types = defaultdict(set)
        for label, name in names:
            types[name_key(name)].add(label)
        clear = {key for key, labels in types.items() if len(labels) == 1}

        self._mentions = {
            label: [mention for mention in texts if name_key(mention) in clear]
            for label, texts in mentions.items()
        }
        self._shorts: dict[str, list[str]] = defaultdict(list)
        self._short_of: dict[tuple[str, str], str] = {}
        for form in forms:
            if name_key(form.short) in clear:
                self._shorts[form.type].append(form.short)
                self._short_of[form.type, name_key(form.long)] = form.short

    def has(self, label: str) -> bool:
        """Tell whether there are names of a type."""
        return bool(self._mentions.get(label) or self._shorts.get(label))

    def draw(self, label: str, draws: random.Random) -> str:
        """Draw a name of a type: a short form, or a mention of a training document.

        Raises:
            IndexError: there is no name of the type.
        """
        shorts, mentions = self._shorts.get(label, []), self._mentions.get(label, ())
        if shorts and (not mentions or draws.random() < _SHORT_SHARE):
            return draws.choice(shorts)
        return draws.choice(mentions)

    def shorten(self, name: str, label: str) -> str | None:
        """The short form of a name, if one is known."""
        return self._short_of.get((label, name_key(name)))


def _find_mentions(label: str, documents: Iterable[Document]) -> list[str]:
    """Find the different mentions of a type, in order."""
    mentions = {
        document.text[span.start : span.end]: None
        for document in documents
        for span in document.spans
        if span.label == label and not span.fragments and span.end - span.start <= LONGEST
    }
    return [mention for mention in mentions if "\n" not in mention]
