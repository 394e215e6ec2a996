"""Distillation: a model is trained on the probabilities of a teacher beside the annotations.

Annotations supervise only the heads of the corpora they come from. A teacher supervises every head on every
word, with probabilities (Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015), and
also on texts without annotation. Its scores are stored by word, so its backbone, subwords and windows may
differ from the student's. It reads each text once, shortly before the first batch that holds it, so a run
that is over before it has drawn all texts spends no time on the others.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from openmed_ner.model.devices import CPU
from openmed_ner.model.tagger import TokenTagger
from openmed_ner.storage import digest_text
from openmed_ner.tagging import Head, SubwordTokenizer, Window, collect_scores
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.text import Document
from openmed_ner.training.config import Distillation
from openmed_ner.training.engine.history import read_tensors, refuse_damaged, write_tensors
from openmed_ner.training.engine.precision import Precision
from openmed_ner.training.engine.processes import Processes
from openmed_ner.training.warm_start import TrainedModel

SCORES = "answers"
"""Folder of a teacher's scores in the folder of a run, and name of their tensor."""
SAVE_SECONDS = 60.0
"""Time after which the scores so far are written to a file."""
MOST_LACKING = 10
"""Number of subwords, such as special ones, that a teacher may lack of the student's."""
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
        self._opened: set[Path] = set()
        self.open_new()

    def __contains__(self, text: str) -> bool:
        return digest_text(text, DIGEST) in self._rows

    def __getitem__(self, text: str) -> HalfArray:
        """Logits of the words of a text, all heads side by side, ``(n_words, n_tags)``."""
        rows, start, stop = self._rows[digest_text(text, DIGEST)]
        if start == stop:  # safetensors cannot slice an empty range
            return np.empty((0, rows.get_shape()[1]), dtype=np.float16)
        logits: HalfArray = rows[start:stop]
        return logits

    def add(self, logits: Mapping[str, FloatArray]) -> None:
        """Write the logits of some texts to a new file."""
        path = self._folder / f"{uuid4().hex}.safetensors"
        digests = b"".join(digest_text(text, DIGEST) for text in logits)
        tensors = {
            SCORES: torch.from_numpy(np.concatenate(list(logits.values())).astype(np.float16)),
            "lengths": torch.tensor([len(rows) for rows in logits.values()]),
            "digests": torch.frombuffer(bytearray(digests), dtype=torch.uint8),
        }
        write_tensors(path, tensors, self._identity)
        self._open(path)

    def open_new(self) -> None:
        """Open the files that were written since, perhaps by another process.

        Raises:
            RunError: a file is damaged.
        """
        for path in set(self._folder.glob("*.safetensors")) - self._opened:
            self._open(path)

    def _open(self, path: Path) -> None:
        self._opened.add(path)
        with refuse_damaged(path):
            file = safe_open(path, framework="np")
            if not self._identity.items() <= (file.metadata() or {}).items():
                return
        read_tensors(path, CPU)  # compares the digest, which reading on demand cannot do
        with refuse_damaged(path):
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
        prepare: lets the teacher read some texts, except for those that it has read before.
        compute: computes the logits of a batch instead, ``(n_words, n_tags)``, from the student's inputs and
            the row and column of each word.
    """

    scores: TeacherScores
    sizes: tuple[int, ...]
    heads: tuple[int, ...]
    weight: float
    temperature: float
    prepare: Callable[[Sequence[str]], None] = lambda texts: None
    compute: Callable[[Sequence[Tensor], Tensor, Tensor], Tensor] | None = None

    def of(self, text: str, window: Window) -> HalfArray:
        """Logits for the words of a window of a prepared text, ``(n_words, n_tags)``."""
        return self.scores[text][window.first : window.first + len(window.first_subwords)]

    def divergence(self, teacher: Sequence[HalfArray] | Tensor, student: Sequence[Tensor]) -> Tensor:
        """Kullback-Leibler divergence of the student from the teacher, mean over words and heads.

        The result is multiplied by the square of the temperature, which would otherwise shrink the gradients
        by that factor.

        Args:
            teacher: teacher logits for the words of each window, or of all of them, ``(n_words, n_tags)``.
            student: student logits of each of ``heads`` for all these words, ``(n_words, n_tags)``.
        """
        if not isinstance(teacher, Tensor):
            teacher = torch.from_numpy(np.concatenate(teacher)).to(student[0].device)
        targets = teacher.float()
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
    """A trained model, or an ensemble, that provides soft targets for the heads a student shares with it.

    The logits of an ensemble are the mean over its models.
    """

    def __init__(
        self,
        source: TrainedModel,
        heads: Sequence[Head],
        settings: Distillation,
        *,
        ensemble: Sequence[TrainedModel] = (),
    ) -> None:
        """Use a trained model as a teacher.

        Args:
            source: the trained model.
            heads: heads of the student, in order.
            settings: settings of the distillation.
            ensemble: further trained models, with the same heads of the student.

        Raises:
            RecipeError: the teacher has none of the heads, or models of the ensemble have others.
        """
        self.source = source
        self._settings = settings
        self._members = [self, *(TeacherModel(other, heads, settings) for other in ensemble)]

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
        self._model = TokenTagger(source.model.encoder, shared, lexicon=source.model.lexicon).eval()
        self._model.layers = nn.ModuleList(layers.values())
        self._indices = tuple(layers)
        self._sizes = tuple(len(head.tags) for head in shared)

        for member in self._members:
            if member._indices != self._indices:
                folder = member.source.bundle.folder
                raise RecipeError(
                    f"distillation.ensemble: {folder} shares other heads with the student than "
                    f"{settings.teacher}"
                )

    @property
    def sources(self) -> list[TrainedModel]:
        """The trained models, first the teacher's own."""
        return [member.source for member in self._members]

    def soft_targets(self, folder: Path, processes: Processes, precision: str) -> SoftTargets:
        """Make soft targets; the teacher reads texts on the main process when they are prepared.

        Args:
            folder: folder of the run; the logits are written to it, and those already in it are used.
            processes: processes of the run.
            precision: precision of the schedule.
        """
        identity = {
            "teacher": " ".join(source.bundle.sha256 for source in self.sources),
            "heads": " ".join(head.corpus for head in self._model.heads),
        }
        scores = TeacherScores(folder / SCORES, identity)
        for member in self._members:
            member._model.to(processes.device)
        arithmetic = Precision(precision, processes.device)

        def prepare(texts: Sequence[str]) -> None:
            missing = [text for text in dict.fromkeys(texts) if text not in scores]
            if not missing:
                return

            def read() -> None:
                with arithmetic.autocast():
                    self._read(missing, scores)

            processes.on_main(read)
            scores.open_new()

        settings = self._settings
        return SoftTargets(scores, self._sizes, self._indices, settings.weight, settings.temperature, prepare)

    def online_targets(
        self, tokenizer: SubwordTokenizer, processes: Processes, precision: str
    ) -> SoftTargets:
        """Make soft targets that the teacher computes for every batch, in the windows of the student.

        Args:
            tokenizer: tokenizer of the student.
            processes: processes of the run.
            precision: precision of the schedule.

        Raises:
            RecipeError: the teacher has other subwords than the student.
        """
        readers = []
        for member in self._members:
            subwords = map_subwords(tokenizer, member.source.bundle.read_tokenizer())
            ids = torch.from_numpy(subwords).to(processes.device)
            readers.append((member._model.to(processes.device), ids))
        arithmetic = Precision(precision, processes.device)

        def compute(inputs: Sequence[Tensor], rows: Tensor, columns: Tensor) -> Tensor:
            logits = []
            # Not inference mode, whose tensors no loss can be computed from.
            with torch.no_grad(), arithmetic.autocast():
                for model, ids in readers:
                    states = model.hidden(ids[inputs[0]], *inputs[1:])[rows, columns]
                    logits.append(torch.cat([layer(states) for layer in model.layers], dim=-1))
            return torch.stack(logits).mean(dim=0)

        scores, settings = TeacherScores(Path(), {}), self._settings
        return SoftTargets(
            scores, self._sizes, self._indices, settings.weight, settings.temperature, compute=compute
        )

    def _read(self, texts: Sequence[str], scores: TeacherScores) -> None:
        """Compute the logits of some texts and write them, at the latest after ``SAVE_SECONDS``."""
        unsaved: dict[str, FloatArray] = {}
        saved = time.monotonic()
        scored = zip(*(member._score(texts) for member in self._members), strict=True)
        for number, (text, logits) in enumerate(zip(texts, scored, strict=True), 1):
            unsaved[text] = np.mean(logits, axis=0)
            if number == len(texts) or time.monotonic() - saved > SAVE_SECONDS:
                scores.add(unsaved)
                unsaved, saved = {}, time.monotonic()
                logger.info("the teacher has read %d of %d texts", number, len(texts))

    def _score(self, texts: Sequence[str]) -> Iterator[FloatArray]:
        """Yield the logits of the words of each text, read in the windows of the teacher's training."""
        # The student's words are those of the text as it stands.
        reader = replace(make_reader(self.source.bundle, self._model.heads), joins=False)
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


def map_subwords(student: SubwordTokenizer, teacher: SubwordTokenizer) -> NDArray[np.int64]:
    """Id of every subword of a student in the vocabulary of its teacher.

    Raises:
        RecipeError: they do not cut words in the same way, or the teacher lacks subwords.
    """
    cuts = []
    for tokenizer in (student, teacher):
        record = json.loads(tokenizer.to_json())
        model = {key: value for key, value in record["model"].items() if key not in ("vocab", "unk_token")}
        cuts.append((record["normalizer"], record["pre_tokenizer"], model))
    numbers = {subword: number for number, subword in enumerate(teacher.vocabulary)}
    ids = np.array([numbers.get(subword, teacher.unknown) for subword in student.vocabulary])
    lacking = len(student.vocabulary) - len(numbers.keys() & set(student.vocabulary))
    if cuts[0] != cuts[1] or lacking > MOST_LACKING:
        raise RecipeError(
            'distillation.scores = "online": the teacher has other subwords than the student; use "stored"'
        )
    for name in ("prefix", "suffix", "padding", "unknown"):
        ids[getattr(student, name)] = getattr(teacher, name)
    return ids
