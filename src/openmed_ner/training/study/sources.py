"""The documents of the corpora that a study names: those of the catalog, and its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from openmed_ner.corpora import SPLITS, find_corpus, load_split
from openmed_ner.evaluation.gold import Gold, load_gold
from openmed_ner.formats import read_documents
from openmed_ner.tagging import Head
from openmed_ner.text import Document
from openmed_ner.training.config import Recipe
from openmed_ner.training.finetune import build_corpora, infer_head
from openmed_ner.training.objectives.token_tags import TrainingCorpus
from openmed_ner.training.study.plan import OwnCorpus


@dataclass(frozen=True, slots=True)
class Sources:
    """Where documents come from.

    Attributes:
        own: corpora that are not in the catalog.
        folder: that their files are relative to.
    """

    own: Mapping[str, OwnCorpus] = field(default_factory=dict)
    folder: Path = Path()

    def documents(self, name: str, split: str) -> tuple[Document, ...]:
        """The documents of a corpus's split."""
        corpus = self.own.get(name)
        if corpus is None:
            return load_split(name, split).documents
        return _read(self.folder / getattr(corpus, split), corpus.format)

    def head(self, name: str) -> Head:
        """What a corpus teaches; of one's own, the types that occur in its training documents.

        Raises:
            CorpusError: they have none, or dev or test documents have others.
        """
        if name not in self.own:
            return Head(name, find_corpus(name).types)
        places = {split: f"corpora.{name}.{split}" for split in SPLITS}
        return infer_head(name, {split: self.documents(name, split) for split in SPLITS}, places)

    def annotated(self, recipe: Recipe) -> list[TrainingCorpus]:
        """What the corpora of a recipe teach, and what chooses."""
        return build_corpora(
            {
                self.head(name): {split: self.documents(name, split) for split in SPLITS}
                for name in recipe.corpora
            },
            recipe,
        )

    def gold(self, name: str, split: str, learnt: Sequence[str]) -> Gold:
        """A split as something to score a head on, and the splits that it learnt from."""
        if name not in self.own:
            return load_gold(name, split, learnt)
        training = [document for each in learnt for document in self.documents(name, each)]
        return Gold(name, split, self.documents(name, split), training)


@lru_cache(maxsize=3)
def _read(path: Path, format: str) -> tuple[Document, ...]:
    """Read a split once for its types, its size, and what it teaches; those of one corpus are kept."""
    return tuple(read_documents(path, format=format or None))
