"""Loading of the models, the tokenizer and the lexicon of bundles, side by side.

A runtime prepares a graph without Python, so another thread reads the tokenizer and the lexicon meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openmed_ner.bundle import Bundle, Manifest
from openmed_ner.bundle.files import LEXICON
from openmed_ner.bundle.manifest import MODEL, TOKENIZER
from openmed_ner.bundle.suite import open_bundles
from openmed_ner.errors import BundleError, RunError, is_memory_shortage
from openmed_ner.inference.backends import Backend, Workers, length_multiple, load_backends, start_runtime
from openmed_ner.inference.parts import ModelPart
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.terminologies import Matcher

READ_ONCE = (LEXICON, MODEL, TOKENIZER)
"""Files of a bundle that are read once each to load it."""
_NO_ID = 1 << 24
"""A subword id beyond those of all vocabularies."""


@dataclass(frozen=True, slots=True)
class LoadedModels:
    """The parts that a tagger computes with.

    Attributes:
        tokenizer: tokenizer of all models.
        parts: the models with their heads.
        workers: number of batches that may be computed at the same time.
        matcher: finds the names of the lexicon; ``None`` if the models read none.
        subwords: subwords of every batch, or 0 if batches of any size are as fast.
        multiple: divisor of padded lengths.
    """

    tokenizer: SubwordTokenizer
    parts: Sequence[ModelPart]
    workers: int
    matcher: Matcher | None
    subwords: int
    multiple: int


def open_quickly(folder: Path, backend: str | None) -> list[Bundle]:
    """Open a bundle or a suite to load it. Files are checked two at a time, and the runtime starts meanwhile.

    Args:
        folder: the folder.
        backend: name of the backend; the one that a bundle was certified with if ``None``.

    Raises:
        BundleError: as for :func:`openmed_ner.bundle.suite.open_bundles`.
    """

    def check_files(check: Callable[[str], None], manifest: Manifest) -> None:
        checked = pool.map(check, manifest.files)
        if manifest.kind == "runtime":
            start_runtime(backend or manifest.backend)
        for _ in checked:  # raises the error of a file
            pass

    with ThreadPoolExecutor(2, thread_name_prefix="openmed-ner-open") as pool:
        return open_bundles(folder, keep=READ_ONCE, check_files=check_files)


def load_models(
    bundles: Sequence[Bundle], *, backend: str | None, threads: int | None, workers: Workers, device: str
) -> LoadedModels:
    """Load some bundles that are used together.

    Args:
        bundles: the bundles.
        backend: name of the backend (:func:`~openmed_ner.inference.backends.load_backends`).
        threads: number of threads in all.
        workers: number of batches to compute at the same time.
        device: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        BundleError: a file cannot be read, or model and tokenizer do not fit.
        RunError: there is not enough memory.
        OpenMedError: the errors of :func:`~openmed_ner.inference.backends.load_backends`.
    """
    with (
        _tell_memory_shortage(bundles),
        ThreadPoolExecutor(1, thread_name_prefix="openmed-ner-load") as pool,
    ):
        reading_tokenizer = pool.submit(bundles[0].read_tokenizer)
        reading_matcher = pool.submit(bundles[0].read_matcher)
        backends, n_workers = load_backends(
            bundles, backend=backend, threads=threads, workers=workers, device=device
        )
        tokenizer = reading_tokenizer.result()
        matcher = reading_matcher.result()
        for bundle, model in zip(bundles, backends, strict=True):
            check_outputs(bundle, model, tokenizer)

    parts = [ModelPart(bundle.manifest.heads, model) for bundle, model in zip(bundles, backends, strict=True)]
    subwords = max(getattr(model, "subwords", 0) for model in backends)
    return LoadedModels(tokenizer, parts, n_workers, matcher, subwords, length_multiple(backends))


@contextmanager
def _tell_memory_shortage(bundles: Sequence[Bundle]) -> Iterator[None]:
    """Tell a lack of memory from damage: the runtimes report both in the same way.

    Raises:
        RunError: there is not enough memory.
    """
    try:
        yield
    except Exception as error:  # of any library
        if not is_memory_shortage(error):
            raise
        names = ", ".join(str(bundle.folder) for bundle in bundles)
        raise RunError(
            f"{names}: there is not enough memory to load the model: {error or type(error).__name__}. "
            "Raise the limit of memory (ulimit -v, or that of the container), or use fewer threads"
        ) from error


def check_outputs(bundle: Bundle, backend: Backend, tokenizer: SubwordTokenizer) -> None:
    """Compute two texts, and compare the shape of the outputs with the tags of the heads.

    The first text is empty, the second has the last subword of the vocabulary, which must have an embedding.
    A backend that computes any id must not take it for one that no vocabulary has.

    Raises:
        BundleError: they differ.
        RunError: the model cannot compute it, such as one that does not read the bundle's lexicon.
    """
    n_tags = sum(len(head.tags) for head in bundle.manifest.heads)
    highest = tokenizer.n_subwords - 1

    def compute(*text: int) -> tuple[LongArray, FloatArray]:
        ids = np.array([[tokenizer.prefix, *text, tokenizer.suffix]], dtype=np.int64)
        lexicon_tags = [np.zeros_like(ids)] if bundle.manifest.lexicon else []
        return ids, backend.run(ids, np.ones_like(ids), *lexicon_tags)

    for text in ((), (tokenizer.unknown, highest, tokenizer.unknown)):
        try:
            ids, logits = compute(*text)
        except RunError as error:
            if not text:
                raise
            raise BundleError(f"{bundle.folder}: model and tokenizer do not fit: {error}") from error

        shape = logits.shape
        expected = (*ids.shape, n_tags)
        if shape[-1:] != expected[-1:]:
            raise BundleError(
                f"{bundle.folder}: the model has {shape[-1] if shape else 0} outputs, "
                f"its heads have {n_tags} tags"
            )
        if shape != expected:
            raise BundleError(f"{bundle.folder}: the model's outputs have shape {shape}, expected {expected}")

    if getattr(backend, "reads_any_id", False):
        _, beyond = compute(tokenizer.unknown, _NO_ID, tokenizer.unknown)
        if np.array_equal(logits, beyond):
            raise BundleError(
                f"{bundle.folder}: model and tokenizer do not fit: the model has no embedding of "
                f"subword {highest}"
            )
