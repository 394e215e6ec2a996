"""Predictions of a tagger, or of a file, for gold documents, and their scores.

Each text is tagged once, also if several heads are scored on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from openmed_ner.bundle import Manifest
from openmed_ner.errors import InputError
from openmed_ner.evaluation.calibration import (
    expected_calibration_error,
    reliability,
    threshold_for_precision,
)
from openmed_ner.evaluation.errors import KINDS, count_errors, find_errors
from openmed_ner.evaluation.gold import Gold, OnInvalid, keep_types, read_scorable, require_mentions
from openmed_ner.evaluation.protocols import ScoringProtocol, make_view
from openmed_ner.evaluation.summary import (
    check_labels,
    pair_documents,
    pair_valid_documents,
    rename_labels,
    summarise,
)
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.text import Document


class TaggerLike(Protocol):
    """A system to score: :class:`openmed_ner.Tagger`, or another with its three members."""

    @property
    def manifest(self) -> Manifest:
        """The heads, each with its corpus and labels."""

    @property
    def tokenizer(self) -> SubwordTokenizer:
        """The tokenizer that the ``subword`` protocol counts with."""

    def pipe(self, texts: Iterable[str | Document], *, corpora: Sequence[str] | None) -> Iterator[Document]:
        """Tag texts by the heads of some corpora; documents keep their order and ids."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Gold documents and the documents that a system predicted, in the same order.

    Attributes:
        gold: the gold documents.
        predicted: the same documents with predicted spans.
        labels: the entity types that count.
        tokenizer: the tokenizer that the ``subword`` protocol counts with.
    """

    gold: Gold
    predicted: Sequence[Document]
    labels: tuple[str, ...]
    tokenizer: SubwordTokenizer | None = None

    def score(
        self, protocol: ScoringProtocol = "mention", *, precision: float | None = None
    ) -> dict[str, Any]:
        """Compute the object that ``evaluate --json`` documents.

        Args:
            protocol: unit that is counted.
            precision: precision to find a score threshold for (mentions only).

        Raises:
            InputError: the documents do not belong together, or a span without a score needs one.
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
        """Count errors by kind, in the order of the kinds."""
        pairs = zip(self.gold.documents, self.predicted, strict=True)
        counts = count_errors(error for pair in pairs for error in find_errors(*pair))
        return {kind: counts[kind] for kind in KINDS if counts[kind]}

    def _calibrate(self, precision: float | None) -> dict[str, Any]:
        """Measure the reliability of the scores, if every prediction has one, and find a threshold."""
        scored = all(span.score is not None for document in self.predicted for span in document.spans)
        if not scored and precision is None:
            return {}
        documents = self.gold.documents, self.predicted
        bins = reliability(*documents)
        table = {"ece": expected_calibration_error(bins), "bins": [asdict(row) for row in bins]}
        if precision is None:
            return {"calibration": table}
        threshold = threshold_for_precision(*documents, precision)
        return {"calibration": table, "threshold": threshold and {"wanted": precision, **asdict(threshold)}}


def predict_gold(
    tagger: TaggerLike, golds: Sequence[Gold], *, label_names: Mapping[str, str] | None = None
) -> Iterator[Predictions]:
    """Tag the documents of all golds, each text once, and give each head its own spans.

    Args:
        tagger: the system to score.
        golds: the gold documents of each head.
        label_names: label of a head to gold label; spans whose label becomes empty are dropped.

    Raises:
        InputError: there are no documents, or they have a label that the head lacks.
    """
    names = label_names or {}
    labels = {
        head.corpus: tuple(dict.fromkeys(filter(None, (names.get(label, label) for label in head.labels))))
        for head in tagger.manifest.heads
    }
    for gold in golds:
        if not gold.documents:
            raise InputError(f"{gold.corpus}, {gold.split}: there are no documents to score")
        owner = f"the head {gold.corpus} (see --types and --map)"
        check_labels(gold.documents, labels[gold.corpus], owner=owner)

    # Corpora share documents (both parts of BC5CDR, AnatEM and Gellus): a text is tagged once for all.
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
        types = tuple(label for label in labels[gold.corpus] if label in (gold.types or labels[gold.corpus]))
        renamed = keep_types(rename_labels(predicted, names), types)
        yield Predictions(gold, renamed, types, tagger.tokenizer)


def read_predictions(
    path: Path,
    gold: Gold,
    *,
    format: str | None = None,
    label_names: Mapping[str, str] | None = None,
    tokenizer: SubwordTokenizer | None = None,
    on_invalid: OnInvalid | None = None,
) -> Predictions:
    """Read the predictions of any system for gold documents from a file.

    Args:
        path: file of documents with predicted spans, in any order.
        gold: the gold documents; the labels that occur in them count.
        format: format of the file; inferred from its name if ``None``.
        label_names: predicted label to gold label; spans whose label becomes empty are dropped.
        tokenizer: the tokenizer that the ``subword`` protocol counts with.
        on_invalid: called with the error of each bad document, and with the document if it can be read. It is
            left out, as is its counterpart in the gold. If ``None``, a bad document ends the reading.

    Raises:
        CorpusFormatError: the file does not follow its format.
        InputError: the documents do not belong together, or a predicted label does not occur in the gold.
    """
    documents, n_left_out = read_scorable(path, format=format, on_invalid=on_invalid)
    predicted = rename_labels(documents, label_names or {})
    if gold.types:
        predicted = keep_types(predicted, gold.types)
    paired_gold, paired = _pair(gold, predicted, n_left_out or 0, source=str(path))
    labels = tuple(sorted({span.label for document in gold.documents for span in document.spans}))
    check_labels(paired, labels, owner="the gold (see --map)")
    return Predictions(paired_gold, paired, labels, tokenizer)


def _pair(
    gold: Gold, predicted: Sequence[Document], n_left_out: int, *, source: str
) -> tuple[Gold, Sequence[Document]]:
    """Pair documents; those whose counterpart was left out are left out, too."""
    if not gold.n_left_out and not n_left_out:
        return gold, pair_documents(gold.documents, predicted)
    kept, paired = pair_valid_documents(
        gold.documents,
        predicted,
        n_gold_left_out=gold.n_left_out or 0,
        n_predicted_left_out=n_left_out,
    )
    require_mentions(kept, source=source, types=gold.types)
    return replace(gold, documents=kept), paired


def evaluate(
    tagger: TaggerLike, golds: Sequence[Gold], *, protocols: Sequence[ScoringProtocol] = ("mention",)
) -> Iterator[dict[str, Any]]:
    """Tag documents and score each head by each protocol, on the same predictions.

    Raises:
        InputError: as for :func:`predict_gold`.
    """
    for predictions in predict_gold(tagger, golds):
        for protocol in protocols:
            yield predictions.score(protocol)
