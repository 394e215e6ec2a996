"""What a study will take: time, memory and energy, estimated before anything is loaded.

Time is arithmetic: floating-point operations in closed form, divided by a device's matrix-multiply rate and
by the share of it that our loop reaches. On this machine the rate is measured and the shares are those of
our benchmarks; of other devices the rate is the vendor's, and the share an assumption, not a measurement.
Memory is weights, what the optimiser keeps, and activations (Korthikanti et al., 2022, arXiv 2205.05198).
Searches are counted as if no trial were stopped early.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from openmed_ner.corpora import find_corpus
from openmed_ner.errors import RunError
from openmed_ner.model.backbones import BACKBONES, find_backbone
from openmed_ner.model.shapes import Shape, Targets
from openmed_ner.model.tagger import load_config
from openmed_ner.text import iter_tokens
from openmed_ner.training.config import PretrainRecipe, Recipe, Schedule
from openmed_ner.training.engine.precision import autocast_dtype
from openmed_ner.training.study.plan import Run, Start, iter_adaptations, iter_runs, name_silver, read_study
from openmed_ner.training.study.sources import Sources

SUBWORDS_PER_WORD = 1.5
"""Subwords read per word of a corpus, overlaps included: 1.35 to 1.55 with a general vocabulary."""
HELD_OUT = 10_000, 200
"""Passages of a prepared set's held-out part, and subwords of one, where the set is not at hand."""
TEXT = 300
"""Subwords of a text that a teacher tags, of the length of an abstract, overlaps included."""
ACTIVATION, SCORES = 34, 5
"""Bytes of activations in half precision: per dimension and layer, and per head and neighbour."""
ADAM = 12
"""Bytes per trained parameter: a gradient and two moments."""


@dataclass(frozen=True, slots=True)
class Device:
    """What computes.

    Attributes:
        name: of the device.
        tflops: its matrix-multiply rate in half precision, in 10^12 operations per second.
        memory: bytes it has.
        watts: what it draws under load, with its share of the machine.
        reached: share of the rate that pretraining and fine-tuning reach.
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
"""Rates without sparsity and limits of power as their vendor publishes them; the share reached is assumed."""
CPU_REACHED = 0.65, 0.45
"""Of benchmarks/pretraining.py and benchmarks/training.py."""
BATCH_SECONDS, BEGIN_SECONDS = 0.03, 20.0
"""What a batch and a run take beside their arithmetic: starting kernels; loading, writing, scoring."""
CPU_WATTS = 27.0
"""Mean of our runs, as CodeCarbon estimates it for 2 cores of this kind."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a step of a study takes.

    Attributes:
        name: of the step.
        seconds: on the device asked about.
        memory: bytes at the peak.
        kwh: electric energy.
        share: of the parameters that train.
    """

    name: str
    seconds: float
    memory: float
    kwh: float
    share: float


def estimate_study(path: Path, device: Device) -> list[Estimate]:
    """Estimate every step of a study.

    Raises:
        InputError: the shape of a backbone is not known and its folder is not at hand.
        RecipeError: the recipe is wrong.
    """
    study = read_study(path)
    sources = Sources(study.corpora, path.parent)
    adaptations = [
        _cost(f"encoders/{start.name}", _adaptation_work(recipe), device)
        for start, recipe in iter_adaptations(path, study)
    ]
    runs = {run.name: run for run in iter_runs(study)}
    trained = []
    for name, run in runs.items():
        teacher = study.teachers.get(study.models[run.model].teacher)
        taught_by = runs[study.run_of(teacher)].recipe if teacher and teacher.by == "probabilities" else None
        work = _run_work(run, sources, texts=teacher.texts if teacher else 0, teacher=taught_by)
        trained.append(_cost(name, work, device))
    teaching = [
        _cost(name_silver(name), _teaching_work(runs[study.run_of(teacher)], teacher.texts), device)
        for name, teacher in study.teachers.items()
        if teacher.by == "texts"
    ]
    return [*adaptations, *trained, *teaching]


def estimate_run(recipe: Recipe, device: Device) -> Estimate:
    """Estimate a fine-tuning run on corpora of the catalog."""
    run = Run(Start(recipe.backbone), "run", recipe)
    return _cost(run.name, _run_work(run, Sources()), device)


def require_memory(estimates: Iterable[Estimate], device: Device) -> None:
    """Make sure that every step fits.

    Raises:
        RunError: one does not.
    """
    for each in estimates:
        if each.memory > device.memory:
            raise RunError(
                f"{each.name} needs about {each.memory / 1e9:.1f} GB, and {device.name} has "
                f"{device.memory / 1e9:.1f}: lower schedule.batch_subwords and raise schedule.accumulate, "
                "set schedule.checkpoint_activations, or go on with --ignore-memory"
            )


def this_machine() -> Device:
    """The GPU, or else the processor, of this machine; its rate is measured, which takes about a second."""
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        return Device(torch.cuda.get_device_name(), multiply_rate(4096, 4096, 4096, device="cuda"), free, 400)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Device("this machine", multiply_rate(1024, 1024, 1024), free, CPU_WATTS, CPU_REACHED)


def multiply_rate(rows: int, inner: int, columns: int, *, device: str = "cpu") -> float:
    """Rate of a matrix product in the training precision, in 10^12 operations per second: a median."""
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
    return 2.0 * rows * inner * columns / statistics.median(seconds[5:]) / 1e12


def shape_of(recipe: Recipe | PretrainRecipe) -> Shape:
    """The shape of a backbone, from the table or from its configuration, with the layers that are kept."""
    name = recipe.backbone
    if name in BACKBONES:
        shape = BACKBONES[name].shape
    else:
        shape = Shape.from_config(load_config(find_backbone(name), dropout=0.0, attention_dropout=0.0))
    kept = recipe.layers if isinstance(recipe, Recipe) else ()
    return replace(shape, layers=len(kept) or shape.layers)


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done in a step: operations, subwords to read, and tags of the heads to teach, if any."""

    recipe: Recipe | PretrainRecipe
    flops: float
    subwords: float
    n_tags: int = 0

    @property
    def share(self) -> float:
        """Share of the parameters that train, without the head that an adaptation teaches.

        Named layers count as if they were query and value; a search as if it kept the rank of the recipe.
        """
        if self.recipe.method == "full":
            return 1.0
        lora = self.recipe.lora
        targets: Targets = "all-linear" if lora.targets == "all-linear" else "query-value"
        return shape_of(self.recipe).trained_share(lora.rank, targets, n_tags=self.n_tags)


def _cost(name: str, work: _Work, device: Device) -> Estimate:
    batches = work.subwords / work.recipe.schedule.batch_subwords
    reached = device.reached[not isinstance(work.recipe, PretrainRecipe)]
    arithmetic = work.flops / (device.tflops * 1e12 * reached)
    seconds = BEGIN_SECONDS + max(arithmetic, BATCH_SECONDS * batches)
    return Estimate(name, seconds, _memory(work.recipe), seconds * device.watts / 3.6e6, work.share)


def _adaptation_work(recipe: PretrainRecipe) -> _Work:
    shape, window = shape_of(recipe), recipe.window
    guess = 2 * shape.embedding * shape.vocabulary * recipe.masking.share  # of the head, per subword
    passages, length = HELD_OUT
    scored = (2 * passages + recipe.schedule.epochs * recipe.held_out) * length
    forward = shape.flops(window) + guess
    trained = shape.flops(window, trained="lora" if recipe.method == "lora" else "all") + 3 * guess
    head = shape.flops(window) + 3 * guess
    flops = recipe.subwords * trained + recipe.head_subwords * head + scored * forward
    return _Work(recipe, flops, recipe.subwords + recipe.head_subwords + scored)


def _teaching_work(run: Run, texts: int) -> _Work:
    shape = shape_of(run.recipe)
    return _Work(run.recipe, texts * TEXT * shape.flops(run.recipe.window), texts * TEXT)


def _run_work(run: Run, sources: Sources, *, texts: int = 0, teacher: Recipe | None = None) -> _Work:
    recipe = run.recipe
    shape = shape_of(recipe)
    words: dict[tuple[int, int, int], float] = {}  # those of one size are the same texts, and read together
    for name in recipe.corpora:
        size = count_words(name, sources)
        words[size] = max(words.get(size, 0.0), recipe.weights.get(name, 1.0))
    _, dev, test = (SUBWORDS_PER_WORD * sum(each) for each in zip(*words, strict=True))
    n_learnt = 1 if recipe.learn == "train" else 2
    train = SUBWORDS_PER_WORD * sum(weight * sum(size[:n_learnt]) for size, weight in words.items())
    train += texts * TEXT
    dev = dev if recipe.learn == "train" else 0.0
    trained = shape.flops(recipe.window, trained="lora" if recipe.method == "lora" else "all")
    forward = shape.flops(recipe.window)
    epochs = recipe.schedule.epochs * (recipe.search.trials if run.searched else 1)
    flops = epochs * (train * trained + dev * forward) + (dev + test) * forward
    if teacher:  # which reads each text once
        learnt = SUBWORDS_PER_WORD * sum(sum(size[:n_learnt]) for size in words)
        flops += (learnt + texts * TEXT) * shape_of(teacher).flops(teacher.window)
    n_tags = sum(len(sources.head(name).tags) for name in recipe.corpora)
    return _Work(recipe, flops, epochs * (train + dev) + dev + test, n_tags)


def count_words(name: str, sources: Sources) -> tuple[int, int, int]:
    """Words of a corpus's train, dev and test splits."""
    if name not in sources.own:
        return find_corpus(name).words
    train, dev, test = (
        sum(sum(1 for _ in iter_tokens(document.text)) for document in sources.documents(name, split))
        for split in ("train", "dev", "test")
    )
    return train, dev, test


def _memory(recipe: Recipe | PretrainRecipe) -> float:
    """Bytes at the peak of a step: the weights twice, for their copy in half precision, and the rest."""
    shape, schedule = shape_of(recipe), recipe.schedule
    full = recipe.method == "full"
    trained = shape.n_parameters if full else shape.lora_parameters(recipe.lora.rank, "all-linear")
    activations = _activations(shape, recipe.window, schedule)
    if isinstance(recipe, PretrainRecipe):
        activations += schedule.batch_subwords * recipe.masking.share * shape.vocabulary * 3 * 4
    return 6.0 * shape.n_parameters + ADAM * trained + activations


def _activations(shape: Shape, window: int, schedule: Schedule) -> float:
    per_subword = ACTIVATION * shape.hidden + SCORES * shape.heads * window
    precision = 1 if autocast_dtype(schedule.precision) else 2
    layers = 2 if schedule.checkpoint_activations else shape.layers
    return float(precision * schedule.batch_subwords * per_subword * layers)
