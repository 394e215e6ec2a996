"""What a training run is told: one frozen dataclass per concern, filled from a TOML recipe.

Every default stands here. An unknown key is an error that names its nearest neighbour, and ``--set
schedule.epochs=3`` overrides one value by its dotted name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from openmed_ner.training.recipes import require


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """The adapter.

    Attributes:
        rank: inner dimension of the update.
        alpha: the update is scaled by ``alpha / rank``.
        dropout: share of the adapter's input dropped in training; above 0 the slower peft layer is used.
        targets: ``query-value``, ``all-linear``, or names of linear layers separated by commas.
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
    """The optimisation.

    Attributes:
        epochs: most passes over the training data.
        patience: epochs without a better dev score before the run stops.
        batch_subwords: most subwords in a batch, padding included.
        accumulate: batches whose gradients make one step.
        learning_rate: peak of the warm-up and cosine schedule.
        weight_decay: of AdamW, on every trained weight.
        warmup: share of all steps in which the learning rate rises.
        clip: largest gradient norm.
        average: decay of an exponential moving average of the weights, which is then what is scored and kept,
            such as 0.999; 0 keeps the weights themselves.
        label_smoothing: probability mass spread evenly over all tags.
        dropout: in the encoder's hidden layers.
        attention_dropout: on attention weights; slow on a CPU.
        checkpoint_activations: compute a layer's activations again in the backward pass instead of keeping
            them: less memory for a third more time.
        precision: ``bf16`` or ``fp16`` autocast, ``fp32``, or ``auto``: bf16 where the device computes it
            natively, else fp32.
    """

    epochs: int = 10
    patience: int = 3
    batch_subwords: int = 2048
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
        for name in ("warmup", "average", "label_smoothing", "dropout", "attention_dropout"):
            value = getattr(self, name)
            require(0 <= value < 1, f"schedule.{name}", value, "a share from 0 to below 1")


@dataclass(frozen=True, slots=True)
class Search:
    """What ``train --search`` tries; pairs are the lowest and the highest value.

    Attributes:
        trials: how many settings are tried.
        minutes: time after which no new trial begins; 0 sets no limit.
        learning_rate: of the schedule's peak, drawn on a logarithmic scale.
        rank: of the adapter; ``alpha`` keeps its ratio to the rank.
        targets: of the adapter.
        dropout: in the encoder's hidden layers.
        label_smoothing: probability mass spread over all tags.
        warmup: share of all steps in which the learning rate rises.
        batch_subwords: most subwords in a batch, one of these; that of the schedule if empty.
        weight_decay: of AdamW, one of these; that of the schedule if empty.
        max_share: largest share of parameters that an adapter and its heads may train.
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
    """A teacher, whose probabilities are learnt beside the annotations.

    Attributes:
        teacher: folder of a bundle that has every head that learns, of any backbone that torch can load; none
            if empty.
        texts: file of documents that nobody has annotated, on which the teacher is heard, too; none if empty.
        weight: of what the teacher says against the annotations, from 0 to 1.
        temperature: what the logits of both are divided by; above 1, what the teacher thinks unlikely counts
            for more.
    """

    teacher: str = ""
    texts: str = ""
    weight: float = 0.5
    temperature: float = 2.0

    def __post_init__(self) -> None:
        alone = bool(self.texts and not self.teacher)
        require(not alone, "distillation.texts", self.texts, "nothing, where no teacher is named")
        require(0 <= self.weight <= 1, "distillation.weight", self.weight, "a share from 0 to 1")
        require(self.temperature > 0, "distillation.temperature", self.temperature, "a number above 0")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A fine-tuning run.

    Attributes:
        corpora: names from the catalog; one head each.
        backbone: a row of the backbone table, a folder, or ``owner/model@commit``.
        adapted: folder of an adapted encoder's bundle, made from that backbone, to start from.
        adapted_as: ``merged`` into the backbone, or ``stacked`` beneath the new adapter; the same but for
            rounding, and of no account where the whole encoder was adapted.
        start: folder of a bundle with heads, made from that backbone, to go on from: its encoder, and its
            heads of the same corpora and tags; other heads begin fresh. Nothing if empty.
        soup: folders of bundles with the same heads and layers as the start; it goes on from the mean of all
            their weights (a model soup; Wortsman et al., 2022, arXiv 2203.05482).
        layers: of the backbone to keep, by number from 0, for a smaller and faster model; all if empty.
        method: ``lora`` trains an adapter and the heads, ``full`` trains everything.
        seed: of the weights, the order of batches and dropout.
        window: most subwords read at once.
        overlap: subwords that neighbouring windows share.
        weights: how often an epoch reads the training documents of a corpus, 1 unless named here.
        transitions: how much decoding expects tags to follow each other as they do in the training
            documents; 0: not at all, beyond what is well formed.
        learn: ``train``, and dev chooses the epoch; or ``train+dev``: dev documents are learnt from as well,
            and the last epoch is kept, for a final model whose settings were chosen before.
        silver: documents that another model tagged, as ``openmed-ner tag --to jsonl`` writes them, to learn
            from beside the corpora's own: each head learns the spans of its corpus; none if empty.
        leave_out: ``held-out``: documents to learn from that stand in the dev or test split of any of the
            corpora, whole or by half of their sentences, are not trained on (in its test split, if dev is
            learnt from); or ``nothing``.
        lora: the adapter; unused by ``full``.
        distillation: from a teacher, if one is named.
        schedule: the optimisation.
        search: what a search tries; unused otherwise.
    """

    corpora: tuple[str, ...] = ()
    backbone: str = "minilm-l6"
    adapted: str = ""
    adapted_as: Literal["merged", "stacked"] = "merged"
    start: str = ""
    soup: tuple[str, ...] = ()
    layers: tuple[int, ...] = ()
    method: Literal["lora", "full"] = "lora"
    seed: int = 0
    window: int = 512
    overlap: int = 128
    weights: Mapping[str, float] = field(default_factory=dict)
    transitions: float = 0.2
    learn: Literal["train", "train+dev"] = "train"
    silver: str = ""
    leave_out: Literal["held-out", "nothing"] = "held-out"
    lora: LoraSettings = field(default_factory=LoraSettings)
    distillation: Distillation = field(default_factory=Distillation)
    schedule: Schedule = field(default_factory=Schedule)
    search: Search = field(default_factory=Search)

    def __post_init__(self) -> None:
        require(self.window >= 8, "window", self.window, "at least 8 subwords")
        require(0 <= self.overlap <= (self.window - 2) // 2, "overlap", self.overlap, "at most half a window")
        require(self.transitions >= 0, "transitions", self.transitions, "0 or more")
        for corpus, weight in self.weights.items():
            require(weight > 0, f"weights.{corpus}", weight, "a number above 0")
        ordered = tuple(sorted(set(self.layers))) == self.layers and min(self.layers, default=0) >= 0
        require(ordered, "layers", self.layers, "numbers from 0 in rising order")
        stacked = self.adapted_as == "stacked" and self.method == "full"
        require(not stacked, "adapted_as", self.adapted_as, "merged, where method is full")
        if self.start:
            require(self.method == "full", "method", self.method, "full, where a start is named")
            require(not self.adapted, "adapted", self.adapted, "nothing, where a start is named")
        require(bool(self.start) or not self.soup, "soup", self.soup, "nothing, where no start is named")


@dataclass(frozen=True, slots=True)
class Masking:
    """Which subwords a masked language model has to guess, drawn anew each time a text is read.

    Of those chosen, 80 % become the mask, 10 % a random subword, 10 % stay (Devlin et al., 2019).

    Attributes:
        share: part of the subwords that is chosen.
        whole_words: choose all subwords of a word, or none.
    """

    share: float = 0.15
    whole_words: bool = False

    def __post_init__(self) -> None:
        require(0 < self.share < 1, "masking.share", self.share, "a share between 0 and 1")


@dataclass(frozen=True, slots=True)
class PretrainRecipe:
    """A run of domain-adaptive pretraining: masked language modelling on unlabelled passages.

    Attributes:
        backbone: a row of the backbone table, a folder, or ``owner/model@commit``.
        method: ``lora`` trains an adapter, ``full`` everything, the language-modelling head included.
        seed: of the order of passages, masks and dropout.
        subwords: how many are read in all, padding included; passages are read again if there are fewer.
        head_subwords: how many are read first, with the encoder frozen, to teach a head to a backbone that
            comes without a trained one; 0 leaves it as fresh as it is.
        head_learning_rate: peak of the warm-up and cosine schedule of that stage.
        window: subwords of a row, special ones included; when not ``packed``, the longest a passage may be.
        packed: rows are filled with one passage after the other; otherwise each passage is a row, beside
            others of like length.
        licences: ``permissive`` leaves out the sources whose terms forbid commercial use or are not known.
        weights: how often a pass reads the passages of a source, 1 unless named here; 0 leaves it out.
        held_out: passages of the held-out set that perplexity is measured on during the run; before and
            after it is measured on all.
        keep: write the bundle after every so many evaluations too, to ``rounds/N``; 0 writes the last only.
        masking: what is to be guessed.
        lora: the adapter; unused by ``full``.
        schedule: the optimisation; ``epochs`` is the number of evaluations, evenly spread over the run.
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
