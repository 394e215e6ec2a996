"""Score mentions by their length, and by their frequency in training.

Gold and predicted spans are sorted by their own form, so a wrong prediction counts in the bin of its own
form, and the counts of a profile add up to the total. Words are separated by blanks ("IL-2" is one). Forms
are compared in lower case, regardless of their label.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from openmed_ner.evaluation.scores import Counts, score_documents, total
from openmed_ner.text import Document

LENGTHS = (("1", 0), ("2", 2), ("3", 3), ("4–5", 4), ("6+", 6))
"""Bins of words per mention: a name, and the number at which the bin begins."""
FREQUENCIES = (("0", 0), ("1", 1), ("2–4", 2), ("5–9", 5), ("10+", 10))
"""Bins of occurrences in the training documents."""

Profile = tuple[tuple[str, Counts], ...]
"""Counts per bin, each with the bin's name."""


def profile_by_length(gold: Sequence[Document], predicted: Sequence[Document]) -> Profile:
    """Count matches by the number of words of a mention.

    Raises:
        InputError: the documents do not belong together.
    """
    return _profile(gold, predicted, LENGTHS, lambda form: len(form.split()))


def profile_by_frequency(
    gold: Sequence[Document], predicted: Sequence[Document], training: Iterable[Document]
) -> Profile:
    """Count matches by the number of training mentions of the same form.

    Raises:
        InputError: the documents do not belong together.
    """
    counts = Counter(document.mention(span).lower() for document in training for span in document.spans)
    return _profile(gold, predicted, FREQUENCIES, lambda form: counts[form.lower()])


def _profile(
    gold: Sequence[Document],
    predicted: Sequence[Document],
    bins: Sequence[tuple[str, int]],
    measure: Callable[[str], int],
) -> Profile:
    # The bin is the last that starts at or below the measure.
    starts = [start for _, start in bins]

    def restrict(documents: Sequence[Document], index: int) -> list[Document]:
        return [
            document.with_spans(
                span
                for span in document.spans
                if bisect_right(starts, measure(document.mention(span))) == index
            )
            for document in documents
        ]

    return tuple(
        (name, total(score_documents(restrict(gold, index), restrict(predicted, index))).micro)
        for index, (name, _) in enumerate(bins, start=1)
    )
