"""Identifiers that annotated text gives to mentions.

Annotators of a corpus mean one concept by a word that a terminology gives to several, or does not have. A
mention is learnt if most of its occurrences have the same identifiers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from openmed_ner.linking.linker import LINKED_TYPES
from openmed_ner.terminologies import name_key
from openmed_ner.terminologies.store import Learnt
from openmed_ner.text import Document

ATTRIBUTE = "identifier"
"""Attribute of a gold span that holds its identifiers, joined by ``|``."""
MIN_SHARE = 0.5
"""Share of the occurrences from which the identifiers are learnt."""


def learn_identifiers(documents: Iterable[Document]) -> Learnt:
    """Learn identifiers of mentions.

    Args:
        documents: training documents, whose spans have the attribute ``identifier``.
    """
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for document in documents:
        for span in document.spans:
            kind = LINKED_TYPES.get(span.label)
            if kind and (key := name_key(document.mention(span))):
                counts[kind, key][str(dict(span.attributes).get(ATTRIBUTE, ""))] += 1
    learnt = {}
    for place, counter in counts.items():
        ids, count = min(counter.items(), key=lambda item: (-item[1], item[0]))
        if ids and count >= MIN_SHARE * counter.total():
            learnt[place] = tuple(ids.split("|"))
    return learnt
