"""Settings of training runs: one frozen dataclass per concern, filled from a TOML recipe.

All defaults are here. See :mod:`openmed_ner.training.recipes` for reading recipes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from openmed_ner.tagging.document_decoding import DocumentMode
from openmed_ner.training.recipes import require


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """LoRA adapter.

    Attributes:
        rank: inner dimension of the update.
        alpha: scale of the update, divided by ``rank``.
        dropout: share of the adapter's input dropped in training; above 0, the slower peft layer is used.
        targets: ``query-value``, ``all-linear``, or comma-separated names of linear layers.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    targets: str = "query-value"

    def __post_init__(self) -> None:
        require(self.rank > 0, "lora.rank", self.rank, "a positive whole number")
        require(0 <= self.dropout < 1, "lora.dropout", self.dropout, "a share below 1")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Schedule of the optimisation.

    Attributes:
        epochs: maximum number of passes over the training data.
        minutes: maximum time of the steps and of all evaluations but the last. The learning rate then falls
            with the time that has passed, and reaches zero when it is over. 0 sets no limit.
        patience: epochs without a better dev score before the run stops. Those with a score of 0 before the
            first other score do not count. A run also stops at a score of 1, the best there is.
        batch_subwords: maximum number of subwords in a batch, padding included.
        shapes: number of padded sizes of batches, so that a GPU reuses its memory and kernels. With 0,
            batches have every length that is a multiple of 16, with less padding.
        accumulate: number of batches per step.
        learning_rate: peak of the warm-up and cosine schedule.
        weight_decay: weight decay of AdamW, on every trained weight.
        warmup: share of all steps in which the learning rate rises.
        clip: maximum gradient norm.
        average: decay of an exponential moving average of the weights, such as 0.999; the average is then
            evaluated and saved. 0 uses the weights themselves.
        label_smoothing: probability mass spread evenly over all tags.
        dropout: dropout in the encoder's hidden layers.
        attention_dropout: dropout of attention weights; slow on a CPU.
        checkpoint_activations: recompute activations in the backward pass instead of storing them; saves
            memory for a third more time.
        precision: ``bf16`` or ``fp16`` autocast, ``fp32``, or ``auto``: bf16 where the device computes it
            natively, else fp32.
    """

    epochs: int = 10
    minutes: float = 0.0
    patience: int = 3
    batch_subwords: int = 2048
    shapes: int = 0
    accumulate: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    clip: float = 1.0
    average: float = 0.0
    label_smoothing: float = 0.1
    dropout: float = 0.1
    attention_dropout: float = 0.0
    checkpoint_activations: bool = False
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "batch_subwords", "accumulate", "learning_rate", "clip"):
            require(getattr(self, name) > 0, f"schedule.{name}", getattr(self, name), "a number above 0")
        require(self.minutes >= 0, "schedule.minutes", self.minutes, "0 or more")
        require(self.shapes >= 0, "schedule.shapes", self.shapes, "0 or more")
        for name in ("warmup", "average", "label_smoothing", "dropout", "attention_dropout"):
            value = getattr(self, name)
            require(0 <= value < 1, f"schedule.{name}", value, "a share from 0 to below 1")


@dataclass(frozen=True, slots=True)
class Search:
    """Search space of ``train --search``; pairs are the lowest and the highest value.

    Attributes:
        trials: number of trials.
        minutes: time after which no new trial begins; 0 sets no limit.
        learning_rate: range of the peak learning rate, drawn on a logarithmic scale.
        rank: ranks of the adapter to choose from; ``alpha`` keeps its ratio to the rank.
        targets: targets of the adapter to choose from.
        dropout: range of the dropout in the encoder's hidden layers.
        label_smoothing: range of the probability mass spread over all tags.
        warmup: range of the share of steps in which the learning rate rises.
        batch_subwords: batch sizes to choose from; empty uses that of the schedule.
        weight_decay: weight decays to choose from; empty uses that of the schedule.
        max_share: maximum share of trained parameters, adapter and heads together.
    """

    trials: int = 40
    minutes: float = 0.0
    learning_rate: tuple[float, ...] = (1e-4, 5e-3)
    rank: tuple[int, ...] = (4, 8, 16)
    targets: tuple[str, ...] = ("query-value", "all-linear")
    dropout: tuple[float, ...] = (0.0, 0.2)
    label_smoothing: tuple[float, ...] = (0.0, 0.2)
    warmup: tuple[float, ...] = (0.0, 0.2)
    batch_subwords: tuple[int, ...] = ()
    weight_decay: tuple[float, ...] = ()
    max_share: float = 0.015

    def __post_init__(self) -> None:
        require(self.trials > 0, "search.trials", self.trials, "a number above 0")
        require(self.minutes >= 0, "search.minutes", self.minutes, "0 or more")
        for name in ("learning_rate", "dropout", "label_smoothing", "warmup"):
            pair = getattr(self, name)
            require(len(pair) == 2 and pair[0] <= pair[1], f"search.{name}", pair, "a lowest and a highest")


@dataclass(frozen=True, slots=True)
class Distillation:
    """Training on a teacher's probabilities beside the annotations.

    Attributes:
        teacher: folder of a bundle with some heads of the student, of any backbone that torch can load. Heads
            that it lacks learn from annotations alone. Empty: no teacher.
        ensemble: folders of bundles with the same heads, whose logits are averaged with those of the teacher.
        texts: file of documents without annotation, for the teacher's probabilities only; empty: none.
        scores: ``stored``: the teacher reads a text once, in its own windows, and its scores are kept.
            ``online``: it reads every batch with the student, and must have the same subwords. It suits a
            GPU, and texts that are read once.
        weight: share of the teacher in the loss, from 0 to 1; the annotations have the rest.
        temperature: divisor of the logits of teacher and student; above 1, unlikely tags count for more.
    """

    teacher: str = ""
    ensemble: tuple[str, ...] = ()
    texts: str = ""
    scores: Literal["stored", "online"] = "stored"
    weight: float = 0.5
    temperature: float = 2.0

    def __post_init__(self) -> None:
        require(
            bool(self.teacher) or not self.ensemble,
            "distillation.ensemble",
            self.ensemble,
            "none, since no teacher is named",
        )
        alone = bool(self.texts and not self.teacher)
        require(not alone, "distillation.texts", self.texts, "no texts, since no teacher is named")
        require(0 <= self.weight <= 1, "distillation.weight", self.weight, "a share from 0 to 1")
        require(self.temperature > 0, "distillation.temperature", self.temperature, "a number above 0")


@dataclass(frozen=True, slots=True)
class LexiconSettings:
    """Names of terminologies as an input beside the text.

    Attributes:
        folder: folder of compiled terminologies (``openmed-ner terminologies build``), or its name in the
            folder ``OPENMED_NER_TERMINOLOGIES``; empty: the lexicon of the start if it has one, else none.
        dropout: share of entity types whose names are hidden in a window in training, so that the model also
            works where the lexicon knows nothing.
    """

    folder: str = ""
    dropout: float = 0.3

    def __post_init__(self) -> None:
        require(0 <= self.dropout < 1, "lexicon.dropout", self.dropout, "a share from 0 to below 1")


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Training documents in changed forms, and short clinical notes written from frames.

    Attributes:
        share: share of the training documents that an epoch also reads in a changed form: other names of the
            same type, short forms in place of long ones, lists, headings, wrapped lines, capitals.
        notes: number of notes that an epoch reads. They annotate the heads that know no other types than
            Disease, Chemical, Gene, Variant, Species and CellLine.
    """

    share: float = 0.0
    notes: int = 0

    def __post_init__(self) -> None:
        require(0 <= self.share <= 1, "augmentation.share", self.share, "a share from 0 to 1")
        require(self.notes >= 0, "augmentation.notes", self.notes, "0 or more")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Recipe of a fine-tuning run.

    Attributes:
        corpora: names of corpora in the catalog; one head each.
        backbone: a row of the backbone table, a folder, or ``owner/model@commit``.
        adapted: folder of an adapted encoder, pretrained from the same backbone, to start from.
        adapted_as: ``merged`` into the backbone, or ``stacked`` below the new adapter; equal up to rounding,
            and ignored if the whole encoder was adapted.
        start: folder of a trained bundle of the same backbone to start from: its encoder, and its heads with
            the same corpora and tags; other heads are new. Empty: none.
        keep_heads: if true, the model also keeps the heads of the start that the corpora lack. The start is
            their teacher on the training documents, so that they forget little.
        soup: folders of bundles with the same heads and layers as the start; training starts from the mean of
            all their weights (a model soup; Wortsman et al., 2022, arXiv 2203.05482).
        compare_start: keep the best on dev of the trained weights, those that training began with, and
            their mean, so that a run never ends with a lower dev score than its start. Ignored without one.
        layers: numbers from 0 of the backbone's layers to keep, for a smaller and faster model; empty: all.
        method: ``lora`` trains an adapter and the heads, ``full`` trains everything.
        seed: seed of new weights, batch order and dropout.
        window: maximum number of subwords that are read at once.
        overlap: number of subwords that neighbouring windows share.
        window_lengths: window lengths in training, one of which is drawn for each text, or ``window`` if
            there are none. A model that has read several reads well in any of them.
        weights: times that an epoch reads the training documents of a corpus; 1 by default.
        transitions: weight, in decoding, of the tag transitions in the training documents; 0 only forbids
            malformed sequences.
        document_decoding: mode of document-level decoding in which dev documents are scored. An export
            chooses the mode of each head.
        learn: ``train`` selects the epoch on dev; ``train+dev`` also trains on dev and keeps the last epoch,
            for a final model with settings chosen before.
        dev_documents: largest number of dev documents of each corpus that select the epoch, drawn at random;
            0 takes all. A study scores all dev documents at the end of a run even so.
        keep_dev: corpora whose dev split is not trained on even so. It selects the epoch, and can serve
            choices made afterwards. Needs ``train+dev``.
        silver: file of documents tagged by another model (``openmed-ner tag --to jsonl``) to train on as
            well; each head is trained on the spans of its corpus. Empty: none.
        leave_out: ``held-out`` leaves out training documents that appear in the dev or test split of any of
            the corpora, whole or by half of their sentences (in the test split only, with ``train+dev``);
            ``nothing`` keeps all.
        lora: adapter; unused by ``full``.
        distillation: teacher and soft targets.
        lexicon: names of terminologies as an input.
        augmentation: changed forms of training documents, and notes.
        schedule: schedule of the optimisation.
        search: search space of ``train --search``.
    """

    corpora: tuple[str, ...] = ()
    backbone: str = "minilm-l6"
    adapted: str = ""
    adapted_as: Literal["merged", "stacked"] = "merged"
    start: str = ""
    keep_heads: bool = False
    soup: tuple[str, ...] = ()
    compare_start: bool = False
    layers: tuple[int, ...] = ()
    method: Literal["lora", "full"] = "lora"
    seed: int = 0
    window: int = 512
    overlap: int = 128
    window_lengths: tuple[int, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    transitions: float = 0.2
    document_decoding: DocumentMode = "off"
    learn: Literal["train", "train+dev"] = "train"
    dev_documents: int = 0
    keep_dev: tuple[str, ...] = ()
    silver: str = ""
    leave_out: Literal["held-out", "nothing"] = "held-out"
    lora: LoraSettings = field(default_factory=LoraSettings)
    distillation: Distillation = field(default_factory=Distillation)
    lexicon: LexiconSettings = field(default_factory=LexiconSettings)
    augmentation: Augmentation = field(default_factory=Augmentation)
    schedule: Schedule = field(default_factory=Schedule)
    search: Search = field(default_factory=Search)

    def __post_init__(self) -> None:
        require(self.window >= 8, "window", self.window, "at least 8 subwords")
        require(0 <= self.overlap <= (self.window - 2) // 2, "overlap", self.overlap, "at most half a window")
        fitting = all(2 * self.overlap + 2 <= length <= self.window for length in self.window_lengths)
        require(
            fitting, "window_lengths", self.window_lengths, "lengths from twice the overlap to the window"
        )
        require(self.dev_documents >= 0, "dev_documents", self.dev_documents, "0 or more")
        require(self.transitions >= 0, "transitions", self.transitions, "0 or more")
        for corpus, weight in self.weights.items():
            require(weight > 0, f"weights.{corpus}", weight, "a number above 0")

        ordered = tuple(sorted(set(self.layers))) == self.layers and min(self.layers, default=0) >= 0
        require(ordered, "layers", self.layers, "numbers from 0 in ascending order")
        # A stacked adapter stays frozen below the new one; full training would change it.
        stacked = self.adapted_as == "stacked" and self.method == "full"
        require(not stacked, "adapted_as", self.adapted_as, "merged, since method is full")

        if self.keep_dev:
            require(self.learn == "train+dev", "learn", self.learn, "train+dev, since keep_dev names corpora")
            unknown = sorted(set(self.keep_dev) - set(self.corpora))
            require(not unknown, "keep_dev", unknown, "corpora of the recipe")
        # An adapter on a start could only be loaded on that model, not on the backbone.
        if self.start:
            require(self.method == "full", "method", self.method, "full, since a start is named")
            require(not self.adapted, "adapted", self.adapted, "no adapted encoder, since a start is named")
        has_start = bool(self.start) or not self.keep_heads
        require(has_start, "keep_heads", self.keep_heads, "false, since no start is named")
        teacher = self.distillation.teacher
        only_start = not self.keep_heads or teacher in ("", self.start)
        require(only_start, "distillation.teacher", teacher, "the start, since keep_heads is set")
        require(bool(self.start) or not self.soup, "soup", self.soup, "no bundles, since no start is named")
        has_dev = self.learn == "train" or bool(self.keep_dev)
        require(has_dev or not self.compare_start, "compare_start", True, "false, since all of dev is learnt")


@dataclass(frozen=True, slots=True)
class Masking:
    """Choice of the subwords that a masked language model has to predict, new each time a text is read.

    Of the chosen subwords, 80 % become the mask, 10 % a random subword, 10 % stay (Devlin et al., 2019).

    Attributes:
        share: share of subwords that are chosen.
        whole_words: if true, choose all subwords of a word or none.
    """

    share: float = 0.15
    whole_words: bool = False

    def __post_init__(self) -> None:
        require(0 < self.share < 1, "masking.share", self.share, "a share between 0 and 1")


@dataclass(frozen=True, slots=True)
class PretrainRecipe:
    """Recipe of a domain-adaptive pretraining run: masked language modelling on unlabelled passages.

    Attributes:
        backbone: a row of the backbone table, a folder, or ``owner/model@commit``.
        method: ``lora`` trains an adapter, ``full`` everything, the language-modelling head included.
        seed: seed of the order of passages, masks and dropout.
        subwords: number of subwords to read, padding included; passages are repeated if there are fewer.
        head_subwords: number of subwords of a first stage that trains a new head on the frozen encoder, if
            the backbone has no trained one; 0 skips the stage.
        head_learning_rate: peak learning rate of the first stage.
        window: length of a row in subwords, special ones included; if not ``packed``, maximum length of a
            passage.
        packed: fill rows with one passage after the other; otherwise each passage is a row, in batches of
            similar length.
        licences: ``permissive`` leaves out the sources whose terms forbid commercial use or are unknown.
        weights: times that a pass reads the passages of a source; 1 by default, 0 leaves it out.
        held_out: number of held-out passages to measure perplexity on during the run; before and after the
            run, all are used.
        keep: interval, in evaluations, at which the bundle is also written to ``rounds/N``; 0 writes the last
            only.
        masking: choice of the subwords to predict.
        lora: adapter; unused by ``full``.
        schedule: schedule of the optimisation; ``epochs`` is the number of evaluations, evenly spaced.
    """

    backbone: str = "minilm-l6"
    method: Literal["lora", "full"] = "lora"
    seed: int = 0
    subwords: int = 20_000_000
    head_subwords: int = 2_000_000
    head_learning_rate: float = 2e-3
    window: int = 256
    packed: bool = True
    licences: Literal["all", "permissive"] = "all"
    weights: Mapping[str, float] = field(default_factory=dict)
    held_out: int = 1_000
    keep: int = 0
    masking: Masking = field(default_factory=Masking)
    lora: LoraSettings = field(default_factory=lambda: LoraSettings(dropout=0.05))
    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            patience=10, batch_subwords=4096, learning_rate=1e-3, warmup=0.05, label_smoothing=0.0
        )
    )

    def __post_init__(self) -> None:
        require(self.window >= 8, "window", self.window, "at least 8 subwords")
        for name in ("subwords", "head_learning_rate", "held_out"):
            require(getattr(self, name) > 0, name, getattr(self, name), "a number above 0")
        for name in ("head_subwords", "keep"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for source, weight in self.weights.items():
            require(weight >= 0, f"weights.{source}", weight, "0 or more")
