"""What a training run gained: scores of its start and of its result on documents that it did not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from openmed_ner.bundle import Bundle
from openmed_ner.evaluation.gold import keep_types
from openmed_ner.evaluation.scores import score_documents
from openmed_ner.evaluation.significance import Comparison, paired_randomisation
from openmed_ner.inference.tagger import Tagger
from openmed_ner.text import Document


@dataclass(frozen=True, slots=True)
class Gain:
    """Scores before and after training, on the same documents.

    Attributes:
        comparison: the new model, first, and its start; of a model without a start, the second has no spans.
        unknown: entity types that the start does not know; all of them if there is no start.
        has_start: true if there is a start.
    """

    comparison: Comparison
    unknown: tuple[str, ...]
    has_start: bool

    def to_json(self) -> dict[str, Any]:
        """The scores, ready for JSON; only that of the new model if there is no start."""
        after = {"f1": self.comparison.f1_first}
        if not self.has_start:
            return after
        return {
            **after,
            "f1_start": self.comparison.f1_second,
            "gain": self.comparison.difference,
            "ci95": list(self.comparison.ci95),
            "p_value": self.comparison.p_value,
            "unknown_to_start": list(self.unknown),
        }

    def describe(self) -> str:
        """The scores on one line, in percent."""
        comparison = self.comparison
        after = f"F1 {100 * comparison.f1_first:.2f}"
        if not self.has_start:
            return after
        low, high = comparison.ci95
        note = f"; the start does not know {', '.join(self.unknown)}" if self.unknown else ""
        return (
            f"{after} after training, {100 * comparison.f1_second:.2f} before: gain "
            f"{100 * comparison.difference:+.2f} (95 %: {100 * low:+.2f} to {100 * high:+.2f}), "
            f"p = {comparison.p_value:.4f}{note}"
        )


def measure_gain(start: Bundle | None, bundle: Bundle, head: str, documents: Sequence[Document]) -> Gain:
    """Score a new model and its start on documents.

    A start that has the head is scored by it. Any other start is scored by its layers of the same types.

    Args:
        start: the model that training began with; ``None`` for a backbone.
        bundle: the new model.
        head: its head for the documents.
        documents: gold documents, with the types of the head.
    """
    types = sorted({span.label for document in documents for span in document.spans})
    after = keep_types(list(Tagger.load(bundle).pipe(documents, corpora=[head])), types)
    before = [document.with_spans(()) for document in documents]
    unknown = types
    if start is not None:
        tagger = Tagger.load(start)
        has_head = head in tagger.corpora
        known = [label for label in types if label in tagger.types]
        unknown = [label for label in types if label not in known]
        if has_head:
            before = keep_types(list(tagger.pipe(documents, corpora=[head])), types)
        elif known:
            before = list(tagger.pipe(documents, types=known))
    comparison = paired_randomisation(score_documents(documents, after), score_documents(documents, before))
    return Gain(comparison, tuple(unknown), start is not None)
