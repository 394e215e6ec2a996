"""Time, memory and energy of a study, estimated before anything is loaded.

Time is arithmetic: floating-point operations in closed form, divided by a device's rate and by the share of
it that our loop reaches. A processor's rate is that of training steps of one layer, measured here. A GPU's is
that of matrix products, measured or the vendor's, and its share is an assumption, not a measurement.
Memory is weights, optimiser state and activations (Korthikanti et al., 2022, arXiv 2205.05198). Searches
count as if no trial were stopped early.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import BertConfig, BertModel

from openmed_ner.bundle import open_bundle
from openmed_ner.corpora import find_corpus
from openmed_ner.errors import RunError
from openmed_ner.model.backbones import BACKBONES, find_backbone
from openmed_ner.model.dropout import replace_dropout
from openmed_ner.model.shapes import Shape, Targets
from openmed_ner.model.tagger import load_config
from openmed_ner.text import iter_tokens
from openmed_ner.training.config import PretrainRecipe, Recipe, Schedule
from openmed_ner.training.engine.precision import Precision, autocast_dtype
from openmed_ner.training.engine.session import BUNDLE
from openmed_ner.training.study.given import describe_recipe
from openmed_ner.training.study.plan import (
    PlannedRun,
    Study,
    StudyEncoder,
    iter_adaptations,
    iter_runs,
    silver_folder,
)
from openmed_ner.training.study.sources import Sources

SUBWORDS_PER_WORD = 1.5
"""Subwords per word of a corpus, overlaps included: measured 1.35 to 1.55 with a general vocabulary."""
HELD_OUT = 10_000, 200
"""Passages of a prepared set's held-out part, and subwords per passage, assumed without reading the set."""
TEXT = 300
"""Subwords of a text that a teacher reads: an abstract, overlaps included."""
NOTE = 60
"""Subwords of a note that is written for training."""
ACTIVATION, SCORES = 34, 5
"""Bytes of activations in half precision: per dimension and layer, and per attention head and neighbour."""
ADAM = 12
"""Bytes per trained parameter: a gradient and two moments."""


@dataclass(frozen=True, slots=True)
class Device:
    """A processor or a GPU.

    Attributes:
        name: name of the device.
        tflops: rate in half precision, in 10^12 operations per second: of matrix products on a GPU, of the
            steps of one layer on a processor.
        memory: bytes of memory.
        watts: power under load, including its share of the machine.
        reached: shares of the rate that pretraining and fine-tuning reach.
    """

    name: str
    tflops: float
    memory: float
    watts: float
    reached: tuple[float, float] = (0.35, 0.35)


DEVICES: Mapping[str, Device] = {
    device.name: device
    for device in (
        Device("t4", 65, 16e9, 70),
        Device("l4", 121, 24e9, 72),
        Device("a100-80gb", 312, 80e9, 400),
        Device("h100-80gb", 989, 80e9, 700),
    )
}
"""Rates without sparsity and power limits as published by the vendor; the shares reached are assumed."""
CPU_REACHED = 1.2, 0.75
"""Shares of the rate of one layer. That of fine-tuning was measured: 0.72 with a teacher, twenty heads and
texts without annotation, 0.85 without heads. Pretraining reached 1.2, since its batches are larger."""
LAYER_WINDOW, LAYER_ROWS = 256, 8
"""The batch with which the rate of one layer is measured."""
BATCH_SECONDS, BEGIN_SECONDS = 0.03, 20.0
"""Overhead of a batch (kernel launches) and of a run (loading, writing, scoring)."""
READ_SECONDS, TEXT_SECONDS = 5e-6, 4e-4
"""Time to read a word of the corpora, once in a study, and a text for a teacher. On one core, 1.5 to 2.9
microseconds were measured for reading a word and 0.7 for comparing it with those held out."""
CPU_WATTS = 27.0
"""Mean power of our runs on 2 cores, as CodeCarbon estimates it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated cost of a step of a study.

    Attributes:
        name: name of the step.
        seconds: time on the device.
        memory: bytes at the peak.
        kwh: electric energy.
        share: share of the parameters that train.
    """

    name: str
    seconds: float
    memory: float
    kwh: float
    share: float

    def with_delay(self, seconds: float, device: Device) -> Estimate:
        """Return the estimate of a step that begins so many seconds later."""
        return replace(self, seconds=self.seconds + seconds, kwh=self.kwh + seconds * device.watts / 3.6e6)


def estimate_study(study: Study, device: Device) -> list[Estimate]:
    """Estimate every step of a study.

    Raises:
        InputError: the shape of a backbone is unknown and its folder is not available.
        RecipeError: the recipe of an adaptation is wrong.
    """
    sources = Sources(study.corpora)
    adaptations = [
        _cost(f"encoders/{encoder.name}", _adaptation_work(recipe), device)
        for encoder, recipe in iter_adaptations(study)
    ]

    runs = {run.name: run for run in iter_runs(study)}
    recipe_of = {f"{name}/{BUNDLE}": run.recipe for name, run in runs.items()}
    for place in study.bundles.values():
        recipe_of[place] = describe_recipe(open_bundle(Path(place)).manifest)
    trained: list[Estimate] = []
    for name, run in runs.items():
        teacher = study.teachers.get(study.models[run.model].teacher)
        n_texts = teacher.texts if teacher else 0
        by_probabilities = teacher and teacher.by == "probabilities"
        teachers = study.teacher_bundles(teacher) if teacher and by_probabilities else ()
        recipes = [recipe_of[bundle] for bundle in teachers]
        estimate = _cost(name, _run_work(run, sources, texts=n_texts, teachers=recipes), device)
        reading = n_texts * TEXT_SECONDS + (0.0 if trained else _reading_seconds(runs.values(), sources))
        trained.append(estimate.with_delay(reading, device))

    tagging = [
        _cost(
            silver_folder(name),
            _tagging_work(recipe_of[study.teacher_bundles(teacher)[0]], teacher.texts),
            device,
        )
        for name, teacher in study.teachers.items()
        if teacher.by == "texts"
    ]
    return [*adaptations, *trained, *tagging]


def estimate_run(recipe: Recipe, device: Device) -> Estimate:
    """Estimate a fine-tuning run on corpora of the catalog."""
    run = PlannedRun(StudyEncoder(recipe.backbone), "run", recipe)
    return _cost(run.name, _run_work(run, Sources()), device)


def require_memory(estimates: Iterable[Estimate], device: Device) -> None:
    """Check that every step fits into the memory of a device.

    Raises:
        RunError: a step does not fit.
    """
    for estimate in estimates:
        if estimate.memory > device.memory:
            raise RunError(
                f"{estimate.name} needs about {estimate.memory / 1e9:.1f} GB, and {device.name} has "
                f"{device.memory / 1e9:.1f}: lower schedule.batch_subwords and raise schedule.accumulate, "
                "set schedule.checkpoint_activations, or use --ignore-memory"
            )


def this_machine() -> Device:
    """The GPU of this machine, or else its processor. Measuring its rate takes a second or two."""
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        return Device(torch.cuda.get_device_name(), multiply_rate(4096, 4096, 4096, device="cuda"), free, 400)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Device("this machine", layer_rate(), free, CPU_WATTS, CPU_REACHED)


def layer_rate() -> float:
    """Median rate of training steps of one layer of MiniLM on the processor, in 10^12 operations per second.

    Matrix products alone tell little: where the processor has instructions for them, most of a step's time is
    spent between them.
    """
    shape = replace(BACKBONES["minilm-l6"].shape, vocabulary=1, layers=1)
    config = BertConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        attention_probs_dropout_prob=0.0,
    )
    layer = BertModel(config, add_pooling_layer=False).train()
    layer.set_attn_implementation("eager")  # as for fine-tuning: see load_encoder
    replace_dropout(layer)
    ids = torch.zeros(LAYER_ROWS, LAYER_WINDOW, dtype=torch.long)
    precision = Precision("auto", torch.device("cpu"))

    seconds = []
    for _ in range(12):
        begin = time.perf_counter()
        with precision.autocast():
            loss = layer(input_ids=ids).last_hidden_state.sum()
        loss.backward()
        seconds.append(time.perf_counter() - begin)

    # the first two steps warm up
    return ids.numel() * shape.flops(LAYER_WINDOW, trained="all") / statistics.median(seconds[2:]) / 1e12


def multiply_rate(rows: int, inner: int, columns: int, *, device: str = "cpu") -> float:
    """Median rate of a matrix product in the training precision, in 10^12 operations per second.

    Args:
        rows: rows of the left factor.
        inner: columns of the left factor.
        columns: columns of the product.
        device: device of torch.
    """
    dtype = autocast_dtype("auto", torch.device(device)) or torch.float32
    left, right = (
        torch.randn(*shape, device=device, dtype=dtype) for shape in ((rows, inner), (columns, inner))
    )

    seconds = []
    for _ in range(20):
        begin = time.perf_counter()
        product = torch.nn.functional.linear(left, right)
        product[0, 0].item()  # wait for a GPU
        seconds.append(time.perf_counter() - begin)

    # the first five products warm up
    return 2.0 * rows * inner * columns / statistics.median(seconds[5:]) / 1e12


def shape_of(recipe: Recipe | PretrainRecipe) -> Shape:
    """The shape of a recipe's encoder: from the table or the backbone's configuration, with its layers."""
    name = recipe.backbone
    if name in BACKBONES:
        shape = BACKBONES[name].shape
    else:
        shape = Shape.from_config(load_config(find_backbone(name), dropout=0.0, attention_dropout=0.0))
    layers = recipe.layers if isinstance(recipe, Recipe) else ()
    return replace(shape, layers=len(layers) or shape.layers)


@dataclass(frozen=True, slots=True)
class _Work:
    """The work of a step.

    Attributes:
        recipe: its settings.
        flops: floating-point operations of its steps and evaluations but the last.
        subwords: subwords that these read.
        last: operations and subwords of the last evaluation, which ``schedule.minutes`` does not limit.
        trials: number of trainings, each with the minutes of the schedule.
        n_tags: tags of all heads to train.
    """

    recipe: Recipe | PretrainRecipe
    flops: float
    subwords: float
    last: tuple[float, float] = (0.0, 0.0)
    trials: int = 1
    n_tags: int = 0

    @property
    def share(self) -> float:
        """Share of the parameters that train, without the masked-language head of an adaptation.

        Named layers count as query and value, a search as if it kept the rank of the recipe.
        """
        if self.recipe.method == "full":
            return 1.0
        lora = self.recipe.lora
        targets: Targets = "all-linear" if lora.targets == "all-linear" else "query-value"
        return shape_of(self.recipe).trained_share(lora.rank, targets, n_tags=self.n_tags)


def _cost(name: str, work: _Work, device: Device) -> Estimate:
    schedule = work.recipe.schedule
    reached = device.reached[not isinstance(work.recipe, PretrainRecipe)]

    def duration(flops: float, subwords: float) -> float:
        arithmetic = flops / (device.tflops * 1e12 * reached)
        return max(arithmetic, BATCH_SECONDS * subwords / schedule.batch_subwords)

    steps = duration(work.flops, work.subwords)
    if schedule.minutes:
        steps = min(steps, 60 * schedule.minutes * work.trials)
    seconds = BEGIN_SECONDS + steps + duration(*work.last)
    return Estimate(name, seconds, _memory(work.recipe), seconds * device.watts / 3.6e6, work.share)


def _adaptation_work(recipe: PretrainRecipe) -> _Work:
    shape, window = shape_of(recipe), recipe.window
    lm_head = 2 * shape.embedding * shape.vocabulary * recipe.masking.share  # per subword, forward
    passages, length = HELD_OUT
    scored = (2 * passages + recipe.schedule.epochs * recipe.held_out) * length

    # backward costs twice what forward does; while the head alone trains, the encoder only runs forward
    forward = shape.flops(window) + lm_head
    trained = shape.flops(window, trained="lora" if recipe.method == "lora" else "all") + 3 * lm_head
    head_only = shape.flops(window) + 3 * lm_head
    flops = recipe.subwords * trained + recipe.head_subwords * head_only + scored * forward
    return _Work(recipe, flops, recipe.subwords + recipe.head_subwords + scored)


def _tagging_work(recipe: Recipe, texts: int) -> _Work:
    shape = shape_of(recipe)
    return _Work(recipe, texts * TEXT * shape.flops(recipe.window), texts * TEXT)


def _reading_seconds(runs: Iterable[PlannedRun], sources: Sources) -> float:
    names = {name for run in runs for name in run.recipe.corpora}
    return READ_SECONDS * sum(sum(size) for size in {count_words(name, sources) for name in names})


def _run_work(run: PlannedRun, sources: Sources, *, texts: int = 0, teachers: Sequence[Recipe] = ()) -> _Work:
    recipe = run.recipe
    shape = shape_of(recipe)
    # corpora of one size are annotations of the same texts, which are read once, by the largest weight
    weights: dict[tuple[int, int, int], float] = {}
    for name in recipe.corpora:
        size = count_words(name, sources)
        weights[size] = max(weights.get(size, 0.0), recipe.weights.get(name, 1.0))

    kept = {count_words(name, sources) for name in run.scored["dev"]}
    dev = SUBWORDS_PER_WORD * sum(size[1] for size in kept)
    test = SUBWORDS_PER_WORD * sum(size[2] for size in weights) * run.tested
    learnt = {size: size[0] if size in kept else size[0] + size[1] for size in weights}
    train = SUBWORDS_PER_WORD * sum(weight * learnt[size] for size, weight in weights.items())
    train += train * recipe.augmentation.share + recipe.augmentation.notes * NOTE + texts * TEXT

    trained = shape.flops(recipe.window, trained="lora" if recipe.method == "lora" else "all")
    forward = shape.flops(recipe.window)
    trials = recipe.search.trials if run.searched else 1
    epochs = recipe.schedule.epochs * trials
    flops = epochs * (train * trained + dev * forward)
    for teacher in teachers:  # reads each text once, whatever its weight and the epochs, or every batch
        read = SUBWORDS_PER_WORD * sum(learnt.values()) + texts * TEXT
        if recipe.distillation.scores == "online":
            read = epochs * train
        flops += read * shape_of(teacher).flops(teacher.window)

    n_tags = sum(len(sources.head(name).tags) for name in recipe.corpora)
    last = (dev + test) * forward, dev + test
    return _Work(recipe, flops, epochs * (train + dev), last, trials, n_tags)


def count_words(name: str, sources: Sources) -> tuple[int, int, int]:
    """Number of words of a corpus's train, dev and test splits."""
    if name not in sources.custom:
        return find_corpus(name).words
    train, dev, test = (
        sum(sum(1 for _ in iter_tokens(document.text)) for document in sources.documents(name, split))
        for split in ("train", "dev", "test")
    )
    return train, dev, test


def _memory(recipe: Recipe | PretrainRecipe) -> float:
    """Bytes at the peak of a step: weights, their copy in half precision, optimiser and activations."""
    shape, schedule = shape_of(recipe), recipe.schedule
    is_full = recipe.method == "full"
    trained = shape.n_parameters if is_full else shape.lora_parameters(recipe.lora.rank, "all-linear")
    activations = _activations(shape, recipe.window, schedule)
    if isinstance(recipe, PretrainRecipe):  # three fp32 copies of the masked words' logits
        activations += schedule.batch_subwords * recipe.masking.share * shape.vocabulary * 3 * 4
    return 6.0 * shape.n_parameters + ADAM * trained + activations


def _activations(shape: Shape, window: int, schedule: Schedule) -> float:
    per_subword = ACTIVATION * shape.hidden + SCORES * shape.heads * window
    precision = 1 if autocast_dtype(schedule.precision) else 2
    layers = 2 if schedule.checkpoint_activations else shape.layers
    return float(precision * schedule.batch_subwords * per_subword * layers)
