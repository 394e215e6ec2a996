"""Token tagging: documents with gold spans become windows with one tag per word and head."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openmed_ner.errors import CorpusError, RecipeError
from openmed_ner.evaluation import Scores, score_document, total
from openmed_ner.model.tagger import TokenTagger
from openmed_ner.storage import digest_text
from openmed_ner.tagging import Head, Window, WindowReader, encode_spans, predict
from openmed_ner.tagging.batching import group_by_length, group_by_width, pad_windows, padded_length
from openmed_ner.tagging.document_decoding import DocumentMode
from openmed_ner.tagging.parallel import ReadingPool
from openmed_ner.text import Account, Document, iter_tokens
from openmed_ner.training.config import Schedule
from openmed_ner.training.engine.objective import Loss, to_device
from openmed_ner.training.objectives.distillation import HalfArray, SoftTargets

IGNORED = -100
"""Tag index of a word that is not in the loss, as in torch's cross-entropy."""


@dataclass(frozen=True, slots=True)
class TrainingCorpus:
    """One corpus as training sees it: a head and its documents.

    Attributes:
        head: head to train.
        train: documents to train on.
        dev: documents to select the epoch on.
        left_out: ids of training documents that appear in a held-out split, and are not in ``train``.
        silver: documents tagged by another model, to train on as well.
        unlabelled: documents without annotation, for soft targets only; the same for all corpora.
        augmented: changed forms of training documents, and notes; trained on without soft targets.
        is_kept: true for a head of the start without documents, which the teacher alone supervises.
    """

    head: Head
    train: tuple[Document, ...]
    dev: tuple[Document, ...]
    left_out: tuple[str, ...] = ()
    silver: tuple[Document, ...] = ()
    unlabelled: tuple[Document, ...] = ()
    augmented: tuple[Document, ...] = ()
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class Example:
    """A window and its tags.

    Attributes:
        window: input of the model.
        tags: tag index of each owned word in each head, ``IGNORED`` elsewhere, ``(n_words, n_heads)``.
        annotators: indices of the corpora with gold annotation in the text; empty if all tags are silver, or
            the text is augmented.
        text: text of the window, the key of its soft targets.
        is_augmented: true for a changed form or a note, which have no soft targets.
    """

    window: Window
    tags: NDArray[np.int16]
    annotators: tuple[int, ...]
    text: str
    is_augmented: bool = False


def make_examples(
    corpora: Sequence[TrainingCorpus],
    reader: WindowReader,
    *,
    window_lengths: Sequence[int] = (),
    seed: int = 0,
    pool: ReadingPool | None = None,
) -> tuple[list[Example], dict[str, Account]]:
    """Turn training documents into examples; a text that several corpora annotate is read once.

    The gold annotation of a text replaces the silver one of the same corpus. Of several documents of a corpus
    with one text, the last counts.

    Args:
        corpora: one corpus per head.
        reader: reader that cuts texts into windows.
        window_lengths: window lengths, one of which is drawn for each text; empty: that of the reader.
        seed: seed of the drawn lengths.
        pool: processes that cut the texts; ``None`` cuts them in this one.

    Returns:
        The examples, and for each corpus an account of its gold spans.

    Raises:
        CorpusError: a corpus has no training documents.
    """
    texts: dict[str, dict[int, Document]] = {}
    annotators: dict[str, set[int]] = defaultdict(set)
    accounts = {corpus.head.corpus: Account() for corpus in corpora if not corpus.is_kept}
    for index, corpus in enumerate(corpora):
        if not (corpus.train or corpus.is_kept):
            raise CorpusError(f"{corpus.head.corpus}: there are no training documents")
        for document in corpus.train:
            annotated = texts.setdefault(document.text, {})
            if (earlier := annotated.get(index)) is not None:
                accounts[corpus.head.corpus] += _account_repetition(earlier, document)
            annotated[index] = document
            annotators[document.text].add(index)
    for index, corpus in enumerate(corpora):
        for document in corpus.silver:
            texts.setdefault(document.text, {}).setdefault(index, document)
    for document in corpora[0].unlabelled:
        texts.setdefault(document.text, {})
    originals = len(texts)
    for index, corpus in enumerate(corpora):
        for document in corpus.augmented:
            texts.setdefault(document.text, {}).setdefault(index, document)

    draws = random.Random(f"{seed}/windows")
    lengths = [draws.choice(window_lengths or (reader.window,)) for _ in texts]
    cut = pool.cut(list(texts), lengths) if pool else _cut_texts(texts, lengths, reader)
    examples = []
    for number, ((text, annotated), windows) in enumerate(zip(texts.items(), cut, strict=True)):
        if not annotated:
            examples += [_make_unlabelled(window, len(corpora), text) for window in windows]
            continue
        tokens = list(iter_tokens(text))
        tags = np.full((len(tokens), len(corpora)), IGNORED, dtype=np.int16)
        for index, document in annotated.items():
            head = corpora[index].head
            encoded, account = encode_spans(document, tokens, head.labels, scheme=head.scheme)
            tags[:, index] = [head.tags.index(tag) for tag in encoded]
            if index in annotators[text]:
                accounts[head.corpus] += account

        # Neighbouring windows overlap: a word is trained on in the window that owns it, once.
        for window in windows:
            owned_tags = np.full((len(window.first_subwords), len(corpora)), IGNORED, dtype=np.int16)
            first, owned = window.first, window.owned
            owned_tags[owned] = tags[first + owned.start : first + owned.stop]
            examples.append(Example(window, owned_tags, tuple(annotators[text]), text, number >= originals))
    return examples, accounts


def _account_repetition(earlier: Document, later: Document) -> Account:
    """Account for the spans of a document that a later one of the same text replaces."""
    keys = {span.key for span in later.spans}
    n_repeated = sum(span.key in keys for span in earlier.spans)
    n_lost = len(earlier.spans) - n_repeated
    reasons = {"is not in the last document of the same text": n_lost} if n_lost else {}
    return Account(lost=n_lost, reasons=reasons, repeated=n_repeated)


def _cut_texts(
    texts: Iterable[str], lengths: Sequence[int], reader: WindowReader
) -> Iterator[Iterable[Window]]:
    for text, length in zip(texts, lengths, strict=True):
        yield replace(reader, window=length).windows(text)


def _make_unlabelled(window: Window, n_heads: int, text: str) -> Example:
    """Make an example without tags; its array takes no memory, since there may be millions."""
    shape = (len(window.first_subwords), n_heads)
    return Example(window, np.broadcast_to(np.int16(IGNORED), shape), (), text)


class TokenTagging:
    """Label-smoothed cross-entropy over each word's first subword, per head.

    With soft targets, the loss is a weighted mean of the cross-entropy and the divergence from the teacher.
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
        window_lengths: Sequence[int] = (),
        dev_documents: int = 0,
        document_mode: DocumentMode = "off",
        pool: ReadingPool | None = None,
    ) -> None:
        """Set up a run.

        Args:
            model: model to train.
            corpora: one corpus per head of the model, in order.
            reader: reader that cuts texts into windows.
            schedule: settings of the optimisation.
            seed: seed of the order of batches and of window lengths.
            weights: number of times that an epoch reads the documents of a corpus; 1 by default.
            window_lengths: window lengths, one of which is drawn for each text; empty: that of the reader.
            dev_documents: largest number of dev documents of each corpus; 0 takes all.
            document_mode: document-level decoding of every head on dev.
            pool: processes that read texts and decode scores; ``None`` does so in this one.

        Raises:
            CorpusError: a corpus has no training documents.
            RecipeError: a weight names an unknown corpus.
        """
        names = [corpus.head.corpus for corpus in corpora]
        if unknown := sorted(set(weights or ()) - set(names)):
            raise RecipeError(f"weights.{unknown[0]}: unknown corpus; expected {', '.join(names)}")
        self._weights = np.array([(weights or {}).get(name, 1.0) for name in names])
        self.model: TokenTagger = model
        self.soft_targets: SoftTargets | None = None
        self.examples, self.accounts = make_examples(
            corpora, reader, window_lengths=window_lengths, seed=seed, pool=pool
        )
        self._pool = pool
        self._dev = [(corpus.head, draw_dev(corpus.dev, dev_documents)) for corpus in corpora]
        self._reader = replace(reader, budget=2 * schedule.batch_subwords)
        self._schedule = schedule
        self._seed = seed
        self._document_modes = dict.fromkeys(names, document_mode)

    def batches(self, epoch: int) -> list[list[Example]]:
        """Batches of examples of similar length, in an order that the seed and the epoch determine."""
        order = random.Random(f"{self._seed}/{epoch}")
        examples = self._draw(epoch)
        order.shuffle(examples)
        lengths = [len(example.window.ids) + 2 for example in examples]
        if self._schedule.shapes:
            widths = [self._fixed_width(length) for length in lengths]
            by_width = group_by_width(widths, budget=self._schedule.batch_subwords)
            order.shuffle(by_width)
            return [[examples[index] for index in batch] for batch in by_width]
        jittered = [int(length * order.uniform(0.9, 1.1)) for length in lengths]
        by_length = group_by_length(lengths, budget=self._schedule.batch_subwords, ranks=jittered)
        order.shuffle(by_length)
        return [[examples[index] for index in batch] for batch in by_length]

    def _draw(self, epoch: int) -> list[Example]:
        """Draw the examples of an epoch, each as often as its weight says."""
        draws = random.Random(f"{self._seed}/{epoch}/weights")
        return [
            example for example in self.examples for _ in range(self._times(example, draw=draws.random()))
        ]

    def _times(self, example: Example, *, draw: float) -> int:
        """Number of times that an epoch reads an example: the largest weight of its corpora; 1 if it has no
        annotators."""
        weight = max((float(self._weights[index]) for index in example.annotators), default=1.0)
        return int(weight) + (draw < weight % 1)

    def _fixed_width(self, length: int) -> int:
        """Round a length up to one of the padded lengths that batches may have."""
        widest = padded_length(self._reader.window)
        step = padded_length(-(-widest // self._schedule.shapes))
        return min(widest, -(-length // step) * step)

    def _pad(self, windows: Sequence[Window]) -> tuple[NDArray[np.int64], ...]:
        """Pad the windows of a batch; with few shapes, also by copies of rows, whose words are not read."""
        if not self._schedule.shapes:
            return pad_windows(windows, self._reader.tokenizer)
        width = self._fixed_width(max(len(window.ids) for window in windows) + 2)
        missing = max(1, self._schedule.batch_subwords // width) - len(windows)
        arrays = pad_windows(windows, self._reader.tokenizer, width=width)
        return tuple(np.concatenate([array, array[:1].repeat(missing, axis=0)]) for array in arrays)

    def prepare(self, batches: Sequence[Sequence[Example]]) -> None:
        """Let the teacher read the texts of some batches, but those of augmented documents."""
        if self.soft_targets:
            examples = [example for batch in batches for example in batch]
            self.soft_targets.prepare([example.text for example in examples if not example.is_augmented])

    def loss(self, batch: Sequence[Example]) -> Loss:
        """Mean loss over all annotated words and heads of a batch.

        Soft targets cover the heads that the teacher has, and all words but those of augmented texts.
        """
        device = next(self.model.layers.parameters()).device
        arrays = self._pad([example.window for example in batch])
        inputs = [to_device(array, device) for array in arrays]

        # Hidden states of each word's first subword; position 0 of a row is the prefix subword.
        n_words = [len(example.tags) for example in batch]
        rows = to_device(np.repeat(np.arange(len(batch)), n_words), device)
        columns = to_device(np.concatenate([example.window.first_subwords + 1 for example in batch]), device)
        words = self.model.hidden(*inputs)[rows, columns]

        # A head without tags in this batch is not computed, unless it has soft targets.
        soft = self.soft_targets
        taught = soft.heads if soft else ()
        # Counted before the tags are copied: a question to a GPU waits for its answer.
        known = np.concatenate([example.tags for example in batch])
        annotated = (known != IGNORED).any(axis=0)
        tags = to_device(known.astype(np.int64), device)  # kept in 16 bits, since there are many heads
        logits = {
            index: layer(words).float()
            for index, layer in enumerate(self.model.layers)
            if annotated[index] or index in taught
        }
        losses = [
            nn.functional.cross_entropy(
                logits[index],
                tags[:, index],
                ignore_index=IGNORED,
                label_smoothing=self._schedule.label_smoothing,
                reduction="sum",
            )
            for index in logits
            if annotated[index]
        ]

        n_targets = int(np.count_nonzero(known != IGNORED))
        mean = torch.stack(losses).sum() / n_targets if losses else words.new_zeros(())
        has_teacher = np.array([not example.is_augmented for example in batch])
        if soft and has_teacher.any():
            taught_words = to_device(np.flatnonzero(np.repeat(has_teacher, n_words)), device)
            if soft.compute:
                places = rows[taught_words], columns[taught_words]
                teacher: Sequence[HalfArray] | Tensor = soft.compute(inputs, *places)
            else:
                drawn = [example for example in batch if not example.is_augmented]
                teacher = [soft.of(example.text, example.window) for example in drawn]
            student = [logits[index][taught_words] for index in taught]
            mean = torch.lerp(mean, soft.divergence(teacher, student), soft.weight)
            n_targets = tags.numel()
        return Loss(mean, n_targets, int(np.count_nonzero(arrays[1][: len(batch)])))

    def evaluate(self) -> Mapping[str, float]:
        """Strict mention-level F1 per corpus that has dev documents; ``score`` is their mean."""
        # Corpora share documents, such as the two heads of BC5CDR; each text is predicted once.
        documents = {(document.id, document.text): document for _, dev in self._dev for document in dev}
        if not documents:
            return {}
        run, modes = self.model.run, self._document_modes
        if self._pool:
            predicted = self._pool.predict(documents.values(), run=run, heads=self._reader.heads, modes=modes)
        else:
            predicted = predict(documents.values(), run=run, reader=self._reader, modes=modes)
        predictions = dict(zip(documents, predicted, strict=True))
        f1 = {head.corpus: _score(head, dev, predictions).micro.f1 for head, dev in self._dev if dev}
        return {**f1, "score": sum(f1.values()) / len(f1)}


def draw_dev(documents: Sequence[Document], limit: int) -> Sequence[Document]:
    """Draw documents by a hash of their texts, so that corpora with the same texts keep the same ones.

    Args:
        documents: dev documents of a corpus.
        limit: largest number of documents to draw; 0 takes all.
    """
    if not limit or len(documents) <= limit:
        return documents
    return sorted(documents, key=lambda document: digest_text(document.text))[:limit]


def _score(head: Head, gold: Sequence[Document], predictions: Mapping[tuple[str, str], Document]) -> Scores:
    """Score the predictions of one head, looked up by id and text."""

    def predicted(document: Document) -> Document:
        prediction = predictions[document.id, document.text]
        return prediction.with_spans(span for span in prediction.spans if span.corpus == head.corpus)

    return total(score_document(document, predicted(document)) for document in gold)
