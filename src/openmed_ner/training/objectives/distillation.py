"""Distillation: a model learns the probabilities of another one beside the annotations.

A document tells only the heads of the corpora that annotate it what is right. A teacher tells every head,
of every word, and how sure it is (Hinton, Vinyals and Dean, Distilling the knowledge in a neural network,
2015), and of texts that nobody has annotated as well. It answers by words, so its backbone, its subwords and
its windows may be others than those of what learns; and it reads each text once, before training begins.
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

ANSWERS = "answers"
SAVE_SECONDS = 60.0
"""What a teacher says in this time goes to a file of its own."""
DIGEST = 16
"""Bytes by which a text is known."""
HalfArray = NDArray[np.float16]
logger = logging.getLogger(__name__)


class TeacherScores:
    """What a teacher has said, in files of a folder, from which only what is asked for is read."""

    def __init__(self, folder: Path, identity: Mapping[str, str]) -> None:
        """Open the files there are.

        Args:
            folder: of the files.
            identity: of the teacher and its heads; files of another one are passed over.

        Raises:
            RunError: a file is damaged.
        """
        self._folder, self._identity = folder, dict(identity)
        self._places: dict[bytes, tuple[Any, int, int]] = {}
        for path in folder.glob("*.safetensors"):
            self._open(path)

    def __contains__(self, text: str) -> bool:
        return _digest(text) in self._places

    def __getitem__(self, text: str) -> HalfArray:
        """The logits of the words of a text, the heads that learn side by side, ``(n_words, n_tags)``."""
        rows, start, stop = self._places[_digest(text)]
        if start == stop:  # which safetensors does not slice
            return np.empty((0, rows.get_shape()[1]), dtype=np.float16)
        found: HalfArray = rows[start:stop]
        return found

    def add(self, answers: Mapping[str, FloatArray]) -> None:
        """Write answers to a file of their own."""
        path = self._folder / f"{uuid4().hex}.safetensors"
        tensors = {
            "answers": torch.from_numpy(np.concatenate(list(answers.values())).astype(np.float16)),
            "lengths": torch.tensor([len(each) for each in answers.values()]),
            "digests": torch.frombuffer(bytearray(b"".join(map(_digest, answers))), dtype=torch.uint8),
        }
        write_tensors(path, tensors, self._identity)
        self._open(path)

    def _open(self, path: Path) -> None:
        with refuse_damaged(path):
            file = safe_open(path, framework="np")
            if file.metadata() != self._identity:
                return
            rows, digests = file.get_slice("answers"), file.get_tensor("digests").reshape(-1, DIGEST)
            ends = file.get_tensor("lengths").cumsum().tolist()
        for digest, start, stop in zip(digests, (0, *ends), ends, strict=False):
            self._places[digest.tobytes()] = (rows, start, stop)


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """What a teacher says of some texts.

    Attributes:
        answers: of each text.
        sizes: tags of each head.
        weight: of what the teacher says against the annotations, from 0 to 1.
        temperature: what the logits of both are divided by; above 1, what it thinks unlikely counts for more.
    """

    answers: TeacherScores
    sizes: tuple[int, ...]
    weight: float
    temperature: float

    def of(self, text: str, window: Window) -> HalfArray:
        """The answers for the words of a window of a text."""
        return self.answers[text][window.first : window.first + len(window.first_subwords)]

    def divergence(self, taught: Sequence[HalfArray], learnt: Sequence[Tensor]) -> Tensor:
        """Kullback-Leibler divergence of what is learnt from what is taught, mean over words and heads.

        It is multiplied by the square of the temperature, by which it would shrink the gradients.

        Args:
            taught: answers for the words of each window.
            learnt: logits of each head for all these words, ``(n_words, n_tags of the head)``.
        """
        answers = torch.from_numpy(np.concatenate(taught)).to(learnt[0].device).float()
        losses = [
            nn.functional.kl_div(
                nn.functional.log_softmax(own.float() / self.temperature, dim=-1),
                nn.functional.log_softmax(right / self.temperature, dim=-1),
                reduction="batchmean",
                log_target=True,
            )
            for own, right in zip(learnt, answers.split(self.sizes, dim=-1), strict=True)
        ]
        return torch.stack(losses).mean() * self.temperature**2


class TeacherModel:
    """A trained model that answers for the heads of another one."""

    def __init__(self, source: TrainedModel, heads: Sequence[Head], settings: Distillation) -> None:
        """Take a model as teacher.

        Args:
            source: the model.
            heads: those that learn, in order.
            settings: of the distillation.

        Raises:
            RecipeError: it lacks one of the heads.
        """
        self.source = source
        self._settings = settings
        layers = [source.find_layer(head.corpus, head.tags) for head in heads]
        for head, layer in zip(heads, layers, strict=True):
            if layer is None:
                place = f"distillation.teacher = {settings.teacher!r}"
                raise RecipeError(f"{place} has no head of {head.corpus} with the same tags")
        self._model = TokenTagger(source.model.encoder, heads).eval()
        self._model.layers = nn.ModuleList(filter(None, layers))
        self._sizes = tuple(len(head.tags) for head in heads)

    def teach(self, texts: Sequence[str], folder: Path, processes: Processes, precision: str) -> SoftTargets:
        """Answer for some texts, on the main process, but for those that a run's folder has the answers to.

        Args:
            texts: different from each other.
            folder: of the run; the answers are written to it.
            processes: that share the run.
            precision: of the schedule.
        """
        identity = {
            "teacher": self.source.bundle.sha256,
            "heads": " ".join(head.corpus for head in self._model.heads),
        }

        def answer() -> None:
            answers = TeacherScores(folder / ANSWERS, identity)
            missing = [text for text in texts if text not in answers]
            new: dict[str, FloatArray] = {}
            saved = time.monotonic()
            with Precision(precision, processes.device).autocast():
                for number, (text, scores) in enumerate(zip(missing, self._answer(missing), strict=True), 1):
                    new[text] = scores
                    if number == len(missing) or time.monotonic() - saved > SAVE_SECONDS:
                        answers.add(new)
                        new, saved = {}, time.monotonic()
                        logger.info("the teacher has read %d of %d texts", number, len(missing))

        self._model.to(processes.device)
        processes.on_main(answer)
        answers = TeacherScores(folder / ANSWERS, identity)
        return SoftTargets(answers, self._sizes, self._settings.weight, self._settings.temperature)

    def _answer(self, texts: Sequence[str]) -> Iterator[FloatArray]:
        """Logits of the words of each text, read by the windows that the teacher learnt to read by."""
        reader = make_reader(self.source.bundle, self._model.heads)
        documents = (Document(str(number), text) for number, text in enumerate(texts))
        for _, words in collect_scores(
            documents, lambda _: _Words(sum(self._sizes)), run=self._model.run, reader=reader
        ):
            yield words.scores


class _Words:
    """The scores of the words of one text, from the window that owns each."""

    def __init__(self, n_tags: int) -> None:
        self._parts: list[FloatArray] = [np.empty((0, n_tags), dtype=np.float32)]

    def add(self, window: Window, scores: FloatArray, *, last: bool) -> None:
        self._parts.append(scores[window.owned])

    @property
    def scores(self) -> FloatArray:
        return np.concatenate(self._parts)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()
