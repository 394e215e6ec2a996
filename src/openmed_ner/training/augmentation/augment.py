"""Changed forms of the training documents of several corpora, and notes for the heads that they annotate."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from openmed_ner.terminologies.short_forms import ShortForm
from openmed_ner.text import Document
from openmed_ner.text.definitions import find_definitions
from openmed_ner.training.augmentation.edits import Edit, apply_edits, change_case, select_edits
from openmed_ner.training.augmentation.layouts import LAYOUTS
from openmed_ner.training.augmentation.names import LONGEST, Names
from openmed_ner.training.augmentation.notes import LABELS, write_notes
from openmed_ner.training.config import Augmentation
from openmed_ner.training.objectives.token_tags import TrainingCorpus

_SWAPPED = 0.3
"""Share of the mentions that are swapped, by surface form."""
_SWAPPED_TYPES = ("Disease", "Chemical", "Gene", "CellLine")
"""Types whose mentions can be swapped; those of species are often "patients"."""
_SHORTENED = 0.7
"""Share of the mentions with a known short form that are replaced by it."""
_CASED = 0.15
"""Share of the changed forms that are in capitals, or without any."""


def augment(
    corpora: Sequence[TrainingCorpus],
    settings: Augmentation,
    *,
    seed: int,
    weights: Mapping[str, float],
    short_forms: Sequence[ShortForm] = (),
) -> list[TrainingCorpus]:
    """Add changed forms and notes to the training documents of corpora.

    A text that several corpora annotate is changed once, with the spans of all.

    Args:
        corpora: one corpus per head.
        settings: numbers of changed forms and notes.
        seed: seed of all draws.
        weights: times that an epoch reads a corpus. A corpus read less than once has fewer changed forms.
        short_forms: short forms of compiled terminologies.
    """
    if not settings.share and not settings.notes:
        return list(corpora)
    draws = random.Random(f"{seed}/augmentation")
    names = _collect_names(corpora, short_forms)

    texts: dict[str, dict[int, Document]] = {}
    for index, corpus in enumerate(corpora):
        for document in corpus.train:
            texts.setdefault(document.text, {})[index] = document

    added: list[list[Document]] = [[] for _ in corpora]
    for annotated in texts.values():
        # As often as the original is read, so that large corpora do not crowd out the small ones.
        weight = max(weights.get(corpora[index].head.corpus, 1.0) for index in annotated)
        if draws.random() < settings.share * min(weight, 1.0):
            for index, document in _change(annotated, names, draws).items():
                added[index].append(document)

    for note in write_notes(names, settings.notes, draws):
        for index, corpus in enumerate(corpora):
            if labels := _note_labels(corpus):
                added[index].append(note.with_spans(span for span in note.spans if span.label in labels))
    return [
        replace(corpus, augmented=tuple(documents)) for corpus, documents in zip(corpora, added, strict=True)
    ]


def _note_labels(corpus: TrainingCorpus) -> frozenset[str]:
    """Types that notes annotate for a head; none if the head knows types that they do not annotate."""
    labels = frozenset(corpus.head.labels)
    return labels if labels <= LABELS else frozenset()


def _collect_names(corpora: Sequence[TrainingCorpus], short_forms: Sequence[ShortForm]) -> Names:
    documents: dict[str, list[Document]] = {}
    for corpus in corpora:
        for label in sorted(_note_labels(corpus)):
            documents.setdefault(label, []).extend(corpus.train)
    return Names(documents, short_forms)


def _change(annotated: Mapping[int, Document], names: Names, draws: random.Random) -> dict[int, Document]:
    """Swap mentions, and change the layout or the case of a text with the documents of several corpora."""
    swaps = select_edits(_swap(annotated.values(), names, draws), annotated.values())
    changed = {index: apply_edits(document, swaps) for index, document in annotated.items()}
    if draws.random() < _CASED:
        convert = str.upper if draws.random() < 0.5 else str.lower
        return {index: change_case(document, convert) for index, document in changed.items()}

    for layout in draws.sample(LAYOUTS, draws.randint(1, 2)):
        text = next(iter(changed.values())).text
        edits = select_edits(layout(text, draws), changed.values())
        changed = {index: apply_edits(document, edits) for index, document in changed.items()}
    return changed


def _swap(documents: Collection[Document], names: Names, draws: random.Random) -> Iterator[Edit]:
    """Replace mentions by their short forms, or by other names of their type.

    All mentions of one form are replaced alike. Mentions in a definition stay, since it would be wrong.
    """
    text = next(iter(documents)).text
    defined = {text[slice(*part)] for place in find_definitions(text) for part in (place.short, place.long)}
    mentions = sorted(
        {(span.start, span.end, span.label) for document in documents for span in document.spans}
    )
    replacements: dict[str, str | None] = {}
    for start, end, label in mentions:
        mention = text[start:end]
        if mention in defined or end - start > LONGEST or label not in _SWAPPED_TYPES:
            continue
        if mention not in replacements:
            replacements[mention] = _draw_replacement(mention, label, text, names, draws)
        if (replacement := replacements[mention]) is not None:
            yield Edit(start, end, replacement)


def _draw_replacement(mention: str, label: str, text: str, names: Names, draws: random.Random) -> str | None:
    short = names.shorten(mention, label)
    if short and short not in text and draws.random() < _SHORTENED:
        return short
    return names.draw(label, draws) if names.has(label) and draws.random() < _SWAPPED else None
