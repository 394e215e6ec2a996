"""The corpora of a run: a head for each, its training documents, and those that select the epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from openmed_ner.corpora import find_corpus, load_guarded, load_splits
from openmed_ner.corpora.overlap import exclude_overlap
from openmed_ner.errors import CorpusError
from openmed_ner.formats import read_documents
from openmed_ner.tagging import Head
from openmed_ner.tagging.labels import encode_spans
from openmed_ner.text import Account, Document, iter_tokens
from openmed_ner.training.config import Recipe
from openmed_ner.training.objectives.token_tags import TrainingCorpus

Splits = Mapping[str, Sequence[Document]]


def load_corpora(recipe: Recipe) -> list[TrainingCorpus]:
    """Load the corpora of a recipe from the catalog.

    Raises:
        CorpusError: a corpus is unknown, or its archive is missing or another release.
    """
    corpora = {Head(name, find_corpus(name).types): load_splits(name) for name in recipe.corpora}
    return build_corpora(corpora, recipe, guarded=load_guarded(recipe.corpora))


def build_corpora(
    corpora: Mapping[Head, Splits], recipe: Recipe, *, guarded: Sequence[Document] = ()
) -> list[TrainingCorpus]:
    """Select the documents that each head is trained on and selected on.

    Training documents that appear in a held-out document of any corpus are left out, unless the recipe says
    otherwise.

    Args:
        corpora: splits by name for each head; ``test`` is optional.
        recipe: use of the dev split, silver documents, texts for distillation, and left-out documents.
        guarded: documents of corpora that are only scored on, held out like those of dev and test.
    """
    learnt = {head: recipe.learn == "train+dev" and head.corpus not in recipe.keep_dev for head in corpora}

    def select(splits: Splits, names: Sequence[str]) -> tuple[Document, ...]:
        return tuple(document for name in names for document in splits.get(name, ()))

    selected = [
        TrainingCorpus(head, select(splits, ("train", "dev")), ())
        if learnt[head]
        else TrainingCorpus(head, select(splits, ("train",)), select(splits, ("dev",)))
        for head, splits in corpora.items()
    ]
    held_out = []
    if recipe.leave_out == "held-out":
        held_out = [
            document
            for head, splits in corpora.items()
            for document in select(splits, ("test",) if learnt[head] else ("dev", "test"))
        ]
        held_out += guarded
        selected = [_exclude(corpus, held_out) for corpus in selected]

    if recipe.silver:
        selected = add_silver(selected, Path(recipe.silver), held_out)
    if recipe.distillation.texts:
        documents = list(read_documents(Path(recipe.distillation.texts)))
        unlabelled, _ = exclude_overlap(documents, held_out)
        selected = [replace(corpus, unlabelled=tuple(unlabelled)) for corpus in selected]
    return selected


def add_silver(
    corpora: Sequence[TrainingCorpus], path: Path, held_out: Sequence[Document]
) -> list[TrainingCorpus]:
    """Add silver documents to every head, each with the spans of its corpus, except held-out documents.

    Raises:
        CorpusError: the file has no span of a corpus, or a label that the head lacks.
        InputError, CorpusFormatError: the file cannot be read.
    """
    documents, left_out = exclude_overlap(list(read_documents(path)), held_out)
    extended = []
    for corpus in corpora:
        name = corpus.head.corpus
        silver = [
            document.with_spans(span for span in document.spans if span.corpus == name)
            for document in documents
        ]
        labels = {span.label for document in silver for span in document.spans}
        if not labels:
            raise CorpusError(f"{path}: no entity is of {name}; tag it with a bundle that has this head")
        if unknown := sorted(labels - set(corpus.head.labels)):
            raise CorpusError(f"{path}: {name} has no label {unknown[0]!r}")
        ids = (*corpus.left_out, *(document.id for document in left_out))
        extended.append(replace(corpus, silver=tuple(silver), left_out=ids))
    return extended


def infer_head(name: str, splits: Splits, places: Mapping[str, object]) -> Head:
    """Make the head for user documents, with the entity types of their training split.

    Args:
        name: name of the head.
        splits: documents by split.
        places: file or folder of each split, for messages.

    Raises:
        CorpusError: the training or dev split has no entity that words can hold, or another split than that
            of training has a type that it lacks.
    """
    types = {
        split: {span.label for document in documents for span in document.spans}
        for split, documents in splits.items()
    }
    if not types["train"]:
        raise CorpusError(f"{places['train']}: no document has an entity; there is nothing to learn")

    for split, labels in types.items():
        if unknown := sorted(labels - types["train"]):
            raise CorpusError(
                f"{places[split]}: the label {unknown[0]!r} does not occur in {places['train']}"
            )
    head = Head(name, tuple(sorted(types["train"])))
    for split in ("train", "dev"):
        if splits.get(split):
            _require_entities(splits[split], head.labels, places.get(split, split))
    return head


def _require_entities(documents: Sequence[Document], labels: Sequence[str], place: object) -> None:
    """Refuse documents of which no entity can be written as tags of words.

    Raises:
        CorpusError: there is no such entity; the message counts the reasons.
    """
    account = Account()
    for document in documents:
        account += encode_spans(document, list(iter_tokens(document.text)), labels)[1]
        if account.kept:
            return
    raise CorpusError(f"{place}: no entity can be learnt or scored: {account}; correct the annotations")


def _exclude(corpus: TrainingCorpus, held_out: Sequence[Document]) -> TrainingCorpus:
    train, left_out = exclude_overlap(corpus.train, held_out)
    return replace(corpus, train=tuple(train), left_out=tuple(document.id for document in left_out))
