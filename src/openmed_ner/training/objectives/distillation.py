"""Distillation: a model is trained on the probabilities of a teacher beside the annotations.

Annotations supervise only the heads of the corpora they come from. A teacher supervises every head on every
word, with probabilities (Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015), and
also on texts without annotation. Its scores are stored by word, so its backbone, subwords and windows may
differ from the student's. It reads each text once, before training begins.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn

from openmed_ner.errors import RecipeError
from openmed_ner.model.bundles import make_reader
from openmed_ner.model.tagger import TokenTagger
from openmed_ner.tagging import Head, Window, collect_scores
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.text import Document
from openmed_ner.training.config import Distillation
from openmed_ner.training.engine.history import refuse_damaged, write_tensors
from openmed_ner.training.engine.precision import Precision
from openmed_ner.training.engine.processes import Processes
from openmed_ner.training.warm_start import TrainedModel

SCORES = "answers"
"""Folder of a teacher's scores in the folder of a run, and name of their tensor."""
SAVE_SECONDS = 60.0
"""Time after which the scores so far are written to a file."""
DIGEST = 16
"""Bytes of the digest that identifies a text."""
HalfArray = NDArray[np.float16]
logger = logging.getLogger(__name__)


class TeacherScores:
    """A teacher's logits for some texts, in the files of a folder, read on demand."""

    def __init__(self, folder: Path, identity: Mapping[str, str]) -> None:
        """Open the existing files.

        Args:
            folder: folder of the files.
            identity: digest and heads of the teacher; files of another one are ignored.

        Raises:
            RunError: a file is damaged.
        """
        self._folder, self._identity = folder, dict(identity)
        self._rows: dict[bytes, tuple[Any, int, int]] = {}
        for path in folder.glob("*.safetensors"):
            self._open(path)

    def __contains__(self, text: str) -> bool:
        return _digest(text) in self._rows

    def __getitem__(self, text: str) -> HalfArray:
        """Logits of the words of a text, all heads side by side, ``(n_words, n_tags)``."""
        rows, start, stop = self._rows[_digest(text)]
        if start == stop:  # safetensors cannot slice an empty range
            return np.empty((0, rows.get_shape()[1]), dtype=np.float16)
        logits: HalfArray = rows[start:stop]
        return logits

    def add(self, logits: Mapping[str, FloatArray]) -> None:
        """Write the logits of some texts to a new file."""
        path = self._folder / f"{uuid4().hex}.safetensors"
        tensors = {
            SCORES: torch.from_numpy(np.concatenate(list(logits.values())).astype(np.float16)),
            "lengths": torch.tensor([len(rows) for rows in logits.values()]),
            "digests": torch.frombuffer(bytearray(b"".join(map(_digest, logits))), dtype=torch.uint8),
        }
        write_tensors(path, tensors, self._identity)
        self._open(path)

    def _open(self, path: Path) -> None:
        with refuse_damaged(path):
            file = safe_open(path, framework="np")
            if not self._identity.items() <= (file.metadata() or {}).items():
                return
            rows, digests = file.get_slice(SCORES), file.get_tensor("digests").reshape(-1, DIGEST)
            ends = file.get_tensor("lengths").cumsum().tolist()
        for digest, start, stop in zip(digests, (0, *ends), ends, strict=False):
            self._rows[digest.tobytes()] = (rows, start, stop)


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """A teacher's logits as training targets.

    Attributes:
        scores: logits by text.
        sizes: number of tags of each head that the teacher has.
        heads: indices of these heads in the student; the others have annotations alone.
        weight: share of the soft targets in the loss, from 0 to 1; the annotations have the rest.
        temperature: divisor of the logits of teacher and student; above 1, unlikely tags count for more.
    """

    scores: TeacherScores
    sizes: tuple[int, ...]
    heads: tuple[int, ...]
    weight: float
    temperature: float

    def of(self, text: str, window: Window) -> HalfArray:
        """Logits for the words of a window of a text, ``(n_words, n_tags)``."""
        return self.scores[text][window.first : window.first + len(window.first_subwords)]

    def divergence(self, teacher: Sequence[HalfArray], student: Sequence[Tensor]) -> Tensor:
        """Kullback-Leibler divergence of the student from the teacher, mean over words and heads.

        The result is multiplied by the square of the temperature, which would otherwise shrink the gradients
        by that factor.

        Args:
            teacher: teacher logits for the words of each window, ``(n_words, n_tags)``.
            student: student logits of each of ``heads`` for all these words, ``(n_words, n_tags)``.
        """
        targets = torch.from_numpy(np.concatenate(teacher)).to(student[0].device).float()
        losses = [
            nn.functional.kl_div(
                nn.functional.log_softmax(logits.float() / self.temperature, dim=-1),
                nn.functional.log_softmax(target / self.temperature, dim=-1),
                reduction="batchmean",
                log_target=True,
            )
            for logits, target in zip(student, targets.split(self.sizes, dim=-1), strict=True)
        ]
        return torch.stack(losses).mean() * self.temperature**2


class TeacherModel:
    """A trained model that provides soft targets for the heads that another model shares with it."""

    def __init__(self, source: TrainedModel, heads: Sequence[Head], settings: Distillation) -> None:
        """Use a trained model as a teacher.

        Args:
            source: the trained model.
            heads: heads of the student, in order.
            settings: settings of the distillation.

        Raises:
            RecipeError: the teacher has none of the heads.
        """
        self.source = source
        self._settings = settings

        layers = {
            index: layer
            for index, head in enumerate(heads)
            if (layer := source.head_layer(head.corpus, head.tags)) is not None
        }
        if not layers:
            names = ", ".join(head.corpus for head in heads)
            raise RecipeError(
                f"distillation.teacher = {settings.teacher!r} has no head of {names} with the same tags"
            )

        shared = [heads[index] for index in layers]
        self._model = TokenTagger(source.model.encoder, shared).eval()
        self._model.layers = nn.ModuleList(layers.values())
        self._indices = tuple(layers)
        self._sizes = tuple(len(head.tags) for head in shared)

    def soft_targets(
        self, texts: Sequence[str], folder: Path, processes: Processes, precision: str
    ) -> SoftTargets:
        """Compute the logits of some texts on the main process, except for texts already in the folder.

        Args:
            texts: different texts.
            folder: folder of the run; the logits are written to it.
            processes: processes of the run.
            precision: precision of the schedule.
        """
        identity = {
            "teacher": self.source.bundle.sha256,
            "heads": " ".join(head.corpus for head in self._model.heads),
        }

        def compute() -> None:
            scores = TeacherScores(folder / SCORES, identity)
            missing = [text for text in texts if text not in scores]
            unsaved: dict[str, FloatArray] = {}
            saved = time.monotonic()
            with Precision(precision, processes.device).autocast():
                for number, (text, logits) in enumerate(zip(missing, self._score(missing), strict=True), 1):
                    unsaved[text] = logits
                    if number == len(missing) or time.monotonic() - saved > SAVE_SECONDS:
                        scores.add(unsaved)
                        unsaved, saved = {}, time.monotonic()
                        logger.info("the teacher has read %d of %d texts", number, len(missing))

        self._model.to(processes.device)
        processes.on_main(compute)
        scores = TeacherScores(folder / SCORES, identity)
        settings = self._settings
        return SoftTargets(scores, self._sizes, self._indices, settings.weight, settings.temperature)

    def _score(self, texts: Sequence[str]) -> Iterator[FloatArray]:
        """Yield the logits of the words of each text, read in the windows of the teacher's training."""
        reader = make_reader(self.source.bundle, self._model.heads)
        documents = (Document(str(number), text) for number, text in enumerate(texts))
        for _, words in collect_scores(
            documents, lambda _: _WordScores(sum(self._sizes)), run=self._model.run, reader=reader
        ):
            yield words.scores


class _WordScores:
    """Scores of the words of one text, each from the window that owns it."""

    def __init__(self, n_tags: int) -> None:
        self._parts: list[FloatArray] = [np.empty((0, n_tags), dtype=np.float32)]

    def add(self, window: Window, scores: FloatArray, *, last: bool) -> None:
        self._parts.append(scores[window.owned])

    @property
    def scores(self) -> FloatArray:
        return np.concatenate(self._parts)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()
