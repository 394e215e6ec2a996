"""Score the heads of a tagger on gold documents, each text being tagged once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from openmed_ner.bundle import Manifest
from openmed_ner.errors import InputError
from openmed_ner.evaluation.calibration import (
    expected_calibration_error,
    reliability,
    threshold_for_precision,
)
from openmed_ner.evaluation.errors import KINDS, count_errors, find_errors
from openmed_ner.evaluation.gold import Gold
from openmed_ner.evaluation.protocols import ScoringProtocol, make_view
from openmed_ner.evaluation.summary import check_labels, summarise
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.text import Document


class TaggerLike(Protocol):
    """What is scored: :class:`openmed_ner.Tagger`, or anything that tags texts as it does."""

    @property
    def manifest(self) -> Manifest:
        """The heads, each with its corpus and labels."""

    @property
    def tokenizer(self) -> SubwordTokenizer:
        """Whose subwords the ``subword`` protocol counts."""

    def pipe(self, texts: Iterable[str | Document], *, corpora: Sequence[str] | None) -> Iterator[Document]:
        """Tag texts by the heads of some corpora; documents keep their order and ids."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Gold documents and what a system makes of them, in the same order.

    Attributes:
        gold: what was asked.
        predicted: what was answered.
        labels: the entity types that count.
        tokenizer: whose subwords the ``subword`` protocol counts.
    """

    gold: Gold
    predicted: Sequence[Document]
    labels: tuple[str, ...]
    tokenizer: SubwordTokenizer | None = None

    def score(
        self, protocol: ScoringProtocol = "mention", *, precision: float | None = None
    ) -> dict[str, Any]:
        """The object that ``evaluate --json`` documents.

        Args:
            protocol: what is counted.
            precision: also say which threshold reaches this precision (mentions only).
        """
        view = make_view(protocol, self.labels, self.tokenizer)
        # Surface forms are gone once subwords are counted, so nothing is seen or unseen there.
        training = None if protocol == "subword" else self.gold.training
        result = summarise(
            [view(document) for document in self.gold.documents],
            [view(document) for document in self.predicted],
            training=training,
            alternatives=self.gold.alternatives if protocol == "mention" else None,
            corpus=self.gold.corpus,
            split=self.gold.split,
            protocol=protocol,
        )
        if protocol == "mention":
            result.update(self._calibrate(precision), errors=self._count_errors())
        coverages = [document.meta["coverage"] for document in self.predicted if "coverage" in document.meta]
        if coverages:
            result["coverage_complete"] = all(coverage["complete"] for coverage in coverages)
        return result

    def _count_errors(self) -> dict[str, int]:
        """How many errors of each kind there are, in the order of the kinds."""
        pairs = zip(self.gold.documents, self.predicted, strict=True)
        found = count_errors(error for pair in pairs for error in find_errors(*pair))
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def _calibrate(self, precision: float | None) -> dict[str, Any]:
        """Reliability of the scores, if every prediction has one, and the threshold asked for."""
        scored = all(span.score is not None for document in self.predicted for span in document.spans)
        if not scored and precision is None:
            return {}
        documents = self.gold.documents, self.predicted
        bins = reliability(*documents)
        table = {"ece": expected_calibration_error(bins), "bins": [asdict(each) for each in bins]}
        if precision is None:
            return {"calibration": table}
        threshold = threshold_for_precision(*documents, precision)
        return {"calibration": table, "threshold": threshold and {"wanted": precision, **asdict(threshold)}}


def predict_gold(tagger: TaggerLike, golds: Sequence[Gold]) -> Iterator[Predictions]:
    """Tag the documents of all golds, each text once, and give each head its own spans.

    Raises:
        InputError: there are no documents, or they have a label that the head does not know.
    """
    heads = {head.corpus: head for head in tagger.manifest.heads}
    for gold in golds:
        if not gold.documents:
            raise InputError(f"{gold.corpus}, {gold.split}: there are no documents to score")
        check_labels(gold.documents, heads[gold.corpus].labels, whose=f"the head {gold.corpus}")
    texts = {document.text: document for gold in golds for document in gold.documents}
    corpora = list(dict.fromkeys(gold.corpus for gold in golds))
    tagged = {document.text: document for document in tagger.pipe(texts.values(), corpora=corpora)}
    for gold in golds:
        predicted = [
            Document(
                document.id,
                document.text,
                tuple(span for span in tagged[document.text].spans if span.corpus == gold.corpus),
                tagged[document.text].meta,
            )
            for document in gold.documents
        ]
        yield Predictions(gold, predicted, heads[gold.corpus].labels, tagger.tokenizer)


def evaluate(
    tagger: TaggerLike, golds: Sequence[Gold], *, protocols: Sequence[ScoringProtocol] = ("mention",)
) -> Iterator[dict[str, Any]]:
    """Tag documents and score each head by each protocol, on the same predictions.

    Raises:
        InputError: as for :func:`answer`.
    """
    for answers in predict_gold(tagger, golds):
        for protocol in protocols:
            yield answers.score(protocol)
