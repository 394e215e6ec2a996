"""The documents of a study's corpora: those of the catalog, and custom ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from openmed_ner.corpora import SPLITS, find_corpus, load_alternatives, load_guarded, load_split
from openmed_ner.evaluation.gold import Gold
from openmed_ner.formats import read_documents
from openmed_ner.tagging import Head
from openmed_ner.text import Document
from openmed_ner.training.config import Recipe
from openmed_ner.training.corpora import build_corpora, infer_head
from openmed_ner.training.objectives.token_tags import TrainingCorpus
from openmed_ner.training.study.specs import CustomCorpus


@dataclass(frozen=True, slots=True)
class Sources:
    """Documents by corpus and split, read once, since all models of a study share them.

    Attributes:
        custom: corpora that are not in the catalog, by name; they go before those of the catalog.
    """

    custom: Mapping[str, CustomCorpus] = field(default_factory=dict)
    _read: dict[tuple[str, str], tuple[Document, ...]] = field(default_factory=dict, init=False, repr=False)
    _annotated: dict[object, list[TrainingCorpus]] = field(default_factory=dict, init=False, repr=False)

    def documents(self, name: str, split: str) -> tuple[Document, ...]:
        """The documents of a corpus's split."""
        corpus = self.custom.get(name)
        if corpus is None:
            if (name, split) not in self._read:
                self._read[name, split] = load_split(name, split).documents
            return self._read[name, split]
        return _read(Path(getattr(corpus, split)), corpus.format)

    def head(self, name: str) -> Head:
        """The head of a corpus; a custom one has the types that occur in its training documents.

        Raises:
            CorpusError: they have none, or dev or test documents have others.
        """
        if name not in self.custom:
            return Head(name, find_corpus(name).types)
        settings = {split: f"corpora.{name}.{split}" for split in SPLITS}
        return infer_head(name, self._splits(name), settings)

    def annotated(self, recipe: Recipe) -> list[TrainingCorpus]:
        """The training and dev documents of a recipe's corpora."""
        choices = (recipe.learn, recipe.keep_dev, recipe.leave_out, recipe.silver, recipe.distillation.texts)
        key = (recipe.corpora, *choices)
        if key not in self._annotated:
            corpora = {self.head(name): self._splits(name) for name in recipe.corpora}
            catalogued = [name for name in recipe.corpora if name not in self.custom]
            self._annotated[key] = build_corpora(corpora, recipe, guarded=load_guarded(catalogued))
        return self._annotated[key]

    def _splits(self, name: str) -> dict[str, tuple[Document, ...]]:
        splits = SPLITS if name in self.custom else find_corpus(name).splits
        return {split: self.documents(name, split) for split in splits}

    def has_split(self, name: str, split: str) -> bool:
        """Return whether a corpus has a split."""
        return name in self.custom or split in find_corpus(name).splits

    def gold(self, name: str, split: str, trained_on: Sequence[str]) -> Gold:
        """A split to score a head on, with the documents of the splits that it was trained on."""
        available = [part for part in trained_on if self.has_split(name, part)]
        training = [document for part in available for document in self.documents(name, part)]
        alternatives = None if name in self.custom else load_alternatives(name, split)
        documents = self.documents(name, split)
        return Gold(name, split, documents, training if available else None, alternatives)


# types, size and training read a split in turn: the cache holds the three of one corpus
@lru_cache(maxsize=3)
def _read(path: Path, format: str) -> tuple[Document, ...]:
    return tuple(read_documents(path, format=format or None))
