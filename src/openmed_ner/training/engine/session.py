"""Steps of every run around its loop: open the folder, keep freed memory, write the bundle in one move."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from openmed_ner.bundle import Manifest, seal
from openmed_ner.bundle.manifest import CARD, RECORD, TOKENIZER
from openmed_ner.errors import RunError
from openmed_ner.publish.cards import write_card
from openmed_ner.storage import atomic_folder, write_json
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.training.config import Schedule
from openmed_ner.training.engine.energy import Meter, measure_energy
from openmed_ner.training.engine.history import CHECKPOINT
from openmed_ner.training.engine.processes import Processes, join

BUNDLE = "bundle"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEEP = 1 << 30


def open_run(
    folder: Path, *, resume: bool, schedule: Schedule, processes: Processes | None = None
) -> Processes:
    """Prepare a run in a folder.

    Returns:
        The processes of the run; by default, those that a launcher started.

    Raises:
        RecipeError: there are more processes than a step has batches.
        RunError: the folder already holds a run, and ``resume`` is false.
    """
    processes = processes or join()
    processes.check_step(schedule.accumulate)
    if not resume and any(folder.rglob(CHECKPOINT)):
        raise RunError(f"{folder} already holds a run; resume it, or choose another folder")
    keep_memory()
    return processes


def measure(processes: Processes) -> AbstractContextManager[Meter | None]:
    """Measure the energy of a block, on one process per machine, since a meter sees all of its devices."""
    return measure_energy() if processes.local_index == 0 else nullcontext()


def keep_memory() -> None:
    """Let the C library keep freed memory instead of returning it to the system after every batch.

    Otherwise each layer maps and unmaps activations of a few megabytes. Keeping them made steps of six
    windows of 320 subwords a third faster. Does nothing without glibc.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_MMAP_THRESHOLD, _KEEP)
            libc.mallopt(_M_TRIM_THRESHOLD, _KEEP)


def write_bundle(
    target: Path,
    manifest: Manifest,
    record: Mapping[str, Any],
    save: Callable[[Path], object],
    tokenizer: SubwordTokenizer,
) -> None:
    """Write a bundle in one move: weights, tokenizer, record and card.

    Args:
        target: folder of the bundle; an older one is replaced.
        manifest: description of the bundle.
        record: record of the run.
        save: function that writes the weights to a folder.
        tokenizer: tokenizer of the model.
    """
    with atomic_folder(target) as partial:
        save(partial)
        (partial / TOKENIZER).write_text(tokenizer.to_json(), encoding="utf-8")
        write_json(partial / RECORD, record)
        write_card(partial / CARD, manifest, record=record)
        seal(partial, manifest)
