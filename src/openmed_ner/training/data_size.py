"""Settings that follow the size of the training documents, for one's own documents without a recipe.

The defaults of :class:`openmed_ner.training.config.Schedule` suit a corpus of hundreds of abstracts. Thirty
notes fill two batches of 2,048 subwords, so a run would end inside its warm-up. Small data therefore has
smaller batches, and an epoch, the time between two evaluations, reads it several times.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from openmed_ner.text import Document, iter_tokens
from openmed_ner.training.config import Schedule

STEPS = 30
"""Fewest steps of an epoch. With the default schedule, a run has 300 steps, and patience is 90 of them."""
SMALLEST_BATCH = 256
"""Subwords of the smallest batches; smaller ones do not compute faster."""
_SUBWORDS_PER_WORD = 1.5


def choose_settings(documents: Sequence[Document], corpus: str) -> list[str]:
    """Choose the batch size, and how often an epoch reads the documents.

    Args:
        documents: training documents.
        corpus: corpus of their head.

    Returns:
        Settings as ``key=value``, to be overridden by those that a user names; none for enough documents.
    """
    n_words = sum(1 for document in documents for _ in iter_tokens(document.text))
    n_subwords = max(1, round(_SUBWORDS_PER_WORD * n_words))
    largest = Schedule().batch_subwords
    batch = min(largest, max(SMALLEST_BATCH, n_subwords // STEPS))
    n_readings = -(-STEPS * batch // n_subwords)

    settings = []
    if batch < largest:
        settings.append(f"schedule.batch_subwords={batch}")
    if batch == SMALLEST_BATCH and n_readings > 1:
        settings.append(f"weights={{{json.dumps(corpus)} = {n_readings}}}")
    return settings
