"""Tables of a study's recipe: custom corpora, teachers and models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

StudyWeights = Literal["fp32", "bf16", "int8"]
"""Number formats of written weights; those of 8 bits have a scale for each row."""


@dataclass(frozen=True, slots=True)
class CustomCorpus:
    """A corpus that is not in the catalog.

    Attributes:
        train: file or folder of documents to train on; in a recipe, relative to it.
        dev: documents to select on.
        test: documents to score once.
        format: format of all three; inferred from the file names if empty.
    """

    train: str = ""
    dev: str = ""
    test: str = ""
    format: str = ""

    def beside(self, folder: Path) -> CustomCorpus:
        """The same corpus with the paths of its files resolved against a folder."""
        train, dev, test = (str(folder / path) if path else "" for path in (self.train, self.dev, self.test))
        return CustomCorpus(train, dev, test, self.format)


@dataclass(frozen=True, slots=True)
class TeacherSpec:
    """A model of the study that others learn from.

    Attributes:
        model: name of the model, whose first seed teaches, or of a bundle of the study.
        encoder: encoder it was trained from; the first of the study if empty.
        by: ``texts`` that it tags, or its ``probabilities`` on the training documents of its students
            (``distillation`` in their settings), and on texts if there are any.
        ensemble: further models, trained from the same encoder or their first one, whose logits are averaged
            with those of the model; only by probabilities.
        texts: number of texts, drawn at random.
        prefer: ``names``: texts with many names of the lexicon are drawn more often; ``any``: all alike.
    """

    model: str = ""
    encoder: str = ""
    by: Literal["texts", "probabilities"] = "texts"
    ensemble: tuple[str, ...] = ()
    texts: int = 0
    prefer: Literal["any", "names"] = "any"


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model that is trained from every encoder.

    Attributes:
        corpora: names from the catalog or of custom corpora, one head each; those of ``training`` if empty.
        seeds: seeds, one run each.
        stages: checkpoints of adaptations that it is also trained from, with the first seed.
        searched: if true, try the settings of ``training.search`` on dev instead of using ``training`` as is.
        tested: if true, score it on test; intermediate models need not be.
        encoders: the only encoders to train it from; all if empty.
        teacher: teacher it also learns from; its model is listed earlier.
        start: model listed earlier whose first seed it is initialised from, or a bundle of the study.
        soup: models listed earlier, and bundles. The weights of their first seeds are averaged with the
            start's.
        share: relative time of each of its runs, if the study has a time limit.
        weights: number format of its written weights; that of the study if empty.
        training: settings in which this model differs from the study's.
    """

    corpora: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    stages: tuple[str, ...] = ()
    searched: bool = False
    tested: bool = True
    encoders: tuple[str, ...] = ()
    teacher: str = ""
    start: str = ""
    soup: tuple[str, ...] = ()
    share: float = 1.0
    weights: Literal["", "fp32", "bf16", "int8"] = ""
    training: Mapping[str, Any] = field(default_factory=dict)
