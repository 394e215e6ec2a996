"""Fine-tuning: documents with gold spans to windows with one tag per word and head."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from openmed_ner.errors import CorpusError, RecipeError
from openmed_ner.evaluation import Scores, score_document, total
from openmed_ner.model.tagger import TokenTagger
from openmed_ner.tagging import Head, Window, WindowReader, encode_spans, predict
from openmed_ner.tagging.batching import group_by_length, pad_windows
from openmed_ner.text import Account, Document, iter_tokens
from openmed_ner.training.config import Schedule
from openmed_ner.training.engine.objective import Loss
from openmed_ner.training.objectives.distillation import SoftTargets

IGNORED = -100
"""Tag index of a word that no head is trained on, as in torch's cross-entropy."""


@dataclass(frozen=True, slots=True)
class TrainingCorpus:
    """One corpus as training sees it: the head it teaches and its documents.

    Attributes:
        head: what it teaches.
        train: documents to learn from.
        dev: documents to choose the epoch by.
        left_out: ids of training documents that stand in a held-out split, and are not in ``train``.
        silver: documents that another model tagged, to learn from as well.
        unlabelled: documents without annotation, the same for all corpora, on which only a teacher is heard.
    """

    head: Head
    train: tuple[Document, ...]
    dev: tuple[Document, ...]
    left_out: tuple[str, ...] = ()
    silver: tuple[Document, ...] = ()
    unlabelled: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A window and its tags.

    Attributes:
        window: what the model reads.
        tags: index of each owned word's tag in each head, ``IGNORED`` elsewhere, ``(n_words, n_heads)``.
        annotators: indices of the corpora whose own annotation is among the tags; none: all are silver.
        text: that the window is of, by which a teacher knows it.
    """

    window: Window
    tags: NDArray[np.int64]
    annotators: tuple[int, ...]
    text: str


def list_texts(corpora: Sequence[TrainingCorpus]) -> list[str]:
    """The different texts that are learnt from."""
    annotated = [document for each in corpora for document in (*each.train, *each.silver)]
    return list(dict.fromkeys(document.text for document in (*annotated, *corpora[0].unlabelled)))


def make_examples(
    corpora: Sequence[TrainingCorpus], reader: WindowReader
) -> tuple[list[Example], dict[str, Account]]:
    """Turn training documents into examples; a text that several corpora annotate is read once.

    A corpus's own annotation of a text stands above a silver one.

    Args:
        corpora: one for each head.
        reader: cuts texts into windows.

    Returns:
        The examples, and for each corpus what became of its gold spans.

    Raises:
        CorpusError: a corpus has no training documents.
    """
    texts: dict[str, dict[int, Document]] = {}
    annotators: dict[str, set[int]] = defaultdict(set)
    accounts = {corpus.head.corpus: Account() for corpus in corpora}
    for index, corpus in enumerate(corpora):
        if not corpus.train:
            raise CorpusError(f"{corpus.head.corpus}: there are no training documents")
        for document in corpus.train:
            texts.setdefault(document.text, {})[index] = document
            annotators[document.text].add(index)
    for index, corpus in enumerate(corpora):
        for document in corpus.silver:
            texts.setdefault(document.text, {}).setdefault(index, document)
    for document in corpora[0].unlabelled:
        texts.setdefault(document.text, {})
    examples = []
    for text, annotated in texts.items():
        tokens = list(iter_tokens(text))
        tags = np.full((len(tokens), len(corpora)), IGNORED, dtype=np.int64)
        for index, document in annotated.items():
            head = corpora[index].head
            encoded, account = encode_spans(document, tokens, head.labels, scheme=head.scheme)
            tags[:, index] = [head.tags.index(tag) for tag in encoded]
            if index in annotators[text]:
                accounts[head.corpus] += account
        for window in reader.windows(text):
            own = np.full((len(window.first_subwords), len(corpora)), IGNORED, dtype=np.int64)
            own[window.owned] = tags[window.first + window.owned.start : window.first + window.owned.stop]
            examples.append(Example(window, own, tuple(annotators[text]), text))
    return examples, accounts


class TokenTagging:
    """The objective: label-smoothed cross-entropy over each word's first subword, per head.

    With a teacher, a part of it is how far the probabilities of all heads are from the teacher's.
    """

    def __init__(
        self,
        model: TokenTagger,
        corpora: Sequence[TrainingCorpus],
        reader: WindowReader,
        *,
        schedule: Schedule,
        seed: int,
        weights: Mapping[str, float] | None = None,
        lessons: SoftTargets | None = None,
    ) -> None:
        """Set up a run.

        Args:
            model: what is trained.
            corpora: one for each head of the model, in order.
            reader: cuts texts into windows.
            schedule: of the run.
            seed: of the order of batches.
            weights: how often an epoch reads the documents of a corpus, 1 where nothing is said.
            lessons: what a teacher says of all texts (see :func:`list_texts`), to be learnt as well.

        Raises:
            CorpusError: a corpus has no training documents.
            RecipeError: a weight names no corpus.
        """
        names = [corpus.head.corpus for corpus in corpora]
        if unknown := sorted(set(weights or ()) - set(names)):
            raise RecipeError(f"weights.{unknown[0]}: there is no such corpus; trained: {', '.join(names)}")
        self._weights = np.array([(weights or {}).get(name, 1.0) for name in names])
        self.model: TokenTagger = model
        self.examples, self.accounts = make_examples(corpora, reader)
        self._dev = [(corpus.head, corpus.dev) for corpus in corpora]
        self._reader = replace(reader, budget=2 * schedule.batch_subwords)
        self._schedule = schedule
        self._seed = seed
        self._lessons = lessons

    def batches(self, epoch: int) -> list[list[Example]]:
        """Examples of like length together, in an order that the seed and the epoch determine."""
        order = random.Random(f"{self._seed}/{epoch}")
        luck = random.Random(f"{self._seed}/{epoch}/weights")
        examples = [
            example for example in self.examples for _ in range(self._times(example, chance=luck.random()))
        ]
        order.shuffle(examples)
        lengths = [len(example.window.ids) + 2 for example in examples]
        jittered = [int(length * order.uniform(0.9, 1.1)) for length in lengths]
        by_length = group_by_length(lengths, budget=self._schedule.batch_subwords, ranks=jittered)
        order.shuffle(by_length)
        return [[examples[index] for index in batch] for batch in by_length]

    def _times(self, example: Example, *, chance: float) -> int:
        """How often an epoch reads an example: the largest weight of its corpora, once if it is silver."""
        weight = max((float(self._weights[index]) for index in example.annotators), default=1.0)
        return int(weight) + (chance < weight % 1)

    def loss(self, batch: Sequence[Example]) -> Loss:
        """Mean over all annotated words and heads of the batch; a teacher is heard on all words and heads."""
        device = next(self.model.layers.parameters()).device
        windows = pad_windows([example.window for example in batch], self._reader.tokenizer)
        ids, mask = (torch.from_numpy(each).to(device) for each in windows)
        rows = torch.from_numpy(np.repeat(np.arange(len(batch)), [len(example.tags) for example in batch]))
        columns = torch.from_numpy(np.concatenate([example.window.first_subwords + 1 for example in batch]))
        words = self.model.hidden(ids, mask)[rows, columns]
        tags = torch.from_numpy(np.concatenate([example.tags for example in batch]))
        annotated = (tags != IGNORED).any(dim=0).tolist()
        logits = {
            index: layer(words).float()
            for index, layer in enumerate(self.model.layers)
            if annotated[index] or self._lessons
        }
        losses = [
            nn.functional.cross_entropy(
                logits[index],
                tags[:, index].to(device),
                ignore_index=IGNORED,
                label_smoothing=self._schedule.label_smoothing,
                reduction="sum",
            )
            for index in logits
            if annotated[index]
        ]
        n_targets = int((tags != IGNORED).sum())
        mean = torch.stack(losses).sum() / n_targets if losses else words.new_zeros(())
        if lessons := self._lessons:
            taught = [lessons.of(example.text, example.window) for example in batch]
            mean = torch.lerp(mean, lessons.divergence(taught, list(logits.values())), lessons.weight)
            n_targets = tags.numel()
        return Loss(mean, n_targets, int(mask.sum()))

    def evaluate(self) -> Mapping[str, float]:
        """Strict mention-level F1 on dev, per corpus; ``score`` is their mean. Nothing without dev."""
        documents = {(each.id, each.text): each for _, dev in self._dev for each in dev}
        if not documents:
            return {}
        predicted = predict(documents.values(), run=self.model.run, reader=self._reader)
        found = dict(zip(documents, predicted, strict=True))
        f1 = {head.corpus: _score(head, dev, found).micro.f1 for head, dev in self._dev}
        return {**f1, "score": sum(f1.values()) / len(f1)}


def _score(head: Head, gold: Sequence[Document], found: Mapping[tuple[str, str], Document]) -> Scores:
    """Score what one head predicted, among the predictions for documents by id and text."""
    predicted = (found[each.id, each.text] for each in gold)
    return total(
        score_document(each, own.with_spans(span for span in own.spans if span.corpus == head.corpus))
        for each, own in zip(gold, predicted, strict=True)
    )
