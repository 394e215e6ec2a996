"""Gold documents to score a head on: splits of catalogued corpora, or a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openmed_ner.corpora import find_corpus, load_alternatives, load_split
from openmed_ner.errors import CorpusError, InputError
from openmed_ner.formats import read_documents, read_valid_documents
from openmed_ner.text import Document

OnInvalid = Callable[[InputError, Document | None], None]


@dataclass(frozen=True, slots=True)
class Gold:
    """Documents that one head is scored on.

    Attributes:
        corpus: the head, and the guideline of the gold spans.
        split: name of the documents in records.
        documents: the documents with gold spans.
        training: training documents of the head, or ``None`` if unknown. Mentions are then also scored by
            their surface form: those that occur in training apart from those that do not.
        alternatives: the same documents with the spans that the corpus's official scorer also accepts.
        types: entity types that are scored; all if empty.
        n_left_out: number of bad documents that were left out; ``None`` if a bad document is an error.
    """

    corpus: str
    split: str
    documents: Sequence[Document]
    training: Sequence[Document] | None = None
    alternatives: Sequence[Document] | None = None
    types: Sequence[str] = ()
    n_left_out: int | None = None


def load_gold(corpus: str, split: str, training_splits: Sequence[str] = ("train",)) -> Gold:
    """Load a split of a catalogued corpus, and the splits of it that a model was trained on.

    Raises:
        CorpusError: the corpus or the split is unknown, or its archive is missing or another release.
    """
    available = [name for name in training_splits if name in find_corpus(corpus).splits]
    training = [document for name in available for document in load_split(corpus, name).documents]
    documents = load_split(corpus, split).documents
    return Gold(corpus, split, documents, training if available else None, load_alternatives(corpus, split))


def keep_corpora_with_split(corpora: Sequence[str], split: str) -> list[str]:
    """Keep the catalogued corpora that have a split, for a score of every head.

    Raises:
        CorpusError: a corpus is unknown, or none has the split.
    """
    kept = [name for name in corpora if split in find_corpus(name).splits]
    if not kept:
        raise CorpusError(f"no corpus of {', '.join(corpora)} has a split {split!r}")
    return kept


@dataclass(frozen=True, slots=True)
class GoldSource:
    """Corpora of the catalog, or one file of gold documents.

    Attributes:
        corpora: catalogued corpora; those of all heads if empty.
        split: split of the corpora.
        path: file of gold documents, instead of corpora.
        format: format of the file; inferred from its name if ``None``.
        head: head to score on the file; needed if a bundle has several.
        types: entity types of the file to score; all if empty.
        on_invalid: called with the error of each document that is left out of the file, and with the document
            if it can be read; if ``None``, a bad document ends the reading.
        columns: names of the columns of a table, see :func:`openmed_ner.formats.csv.read_csv`.

    Raises:
        InputError: both corpora and a file are given, or types of corpora.
    """

    corpora: Sequence[str] = ()
    split: str = "test"
    path: Path | None = None
    format: str | None = None
    head: str | None = None
    types: Sequence[str] = ()
    on_invalid: OnInvalid | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is not None and self.corpora:
            raise InputError("--corpus and --data exclude each other: name corpora or a file, not both")
        if self.path is None and (self.types or self.on_invalid or self.columns):
            raise InputError(
                "--types, --skip-invalid and names of columns are for your own documents; name them with "
                "--data"
            )

    def is_training_data(self, training_splits: Sequence[str]) -> bool:
        """Return whether a model with these training splits was trained on this gold."""
        return self.path is None and self.split in training_splits

    def load_for_heads(self, heads: Sequence[str], training_splits: Sequence[str]) -> list[Gold]:
        """Load gold documents for the heads of a bundle.

        Raises:
            InputError: the bundle lacks a head of that name, or a file needs the name of one.
            CorpusError: as for :func:`load_gold`.
        """
        if self.path is not None:
            if self.head is None and len(heads) > 1:
                raise InputError(f"--data needs --head, one of: {', '.join(heads)}")
            name = self.head or heads[0]
            _require_head(name, heads)
            return [self._read(self.path, name)]

        for name in self.corpora:
            find_corpus(name)
            _require_head(name, heads)
        corpora = self.corpora or keep_corpora_with_split(heads, self.split)
        return [load_gold(name, self.split, training_splits) for name in corpora]

    def load_for_predictions(self, path: Path) -> Gold:
        """Load the gold documents of a file of predictions, which belongs to one corpus.

        Raises:
            InputError: several corpora are named, or neither a corpus nor a file.
            CorpusError: as for :func:`load_gold`.
        """
        if self.path is not None:
            return self._read(self.path, self.head or path.stem)
        if len(self.corpora) != 1:
            raise InputError(f"{path} needs what it is to be compared with: one --corpus, or --gold FILE")
        return load_gold(self.corpora[0], self.split)

    def _read(self, path: Path, corpus: str) -> Gold:
        options = {"columns": self.columns} if self.columns else {}
        documents, n_left_out = read_scorable(
            path, format=self.format, on_invalid=self.on_invalid, options=options
        )
        if self.types:
            documents = keep_types(documents, self.types)
        require_mentions(documents, source=str(path), types=self.types)
        return Gold(corpus, path.name, documents, types=self.types, n_left_out=n_left_out)


def read_scorable(
    path: Path,
    *,
    format: str | None = None,
    on_invalid: OnInvalid | None = None,
    options: Mapping[str, Any] | None = None,
) -> tuple[list[Document], int | None]:
    """Read the documents of a file to score.

    Args:
        path: the file or folder.
        format: format of the file; inferred from its name if ``None``.
        on_invalid: called with the error of each bad document, and with the document if it can be read; if
            ``None``, a bad document ends the reading.
        options: options of the format.

    Returns:
        The documents, and the number of those left out; ``None`` if none may be.
    """
    if on_invalid is None:
        return list(read_documents(path, format=format, options=options)), None
    n_left_out = 0

    def note(error: InputError, document: Document | None) -> None:
        nonlocal n_left_out
        n_left_out += 1
        on_invalid(error, document)

    return list(read_valid_documents(path, format=format, on_invalid=note, options=options)), n_left_out


def keep_types(documents: Sequence[Document], types: Sequence[str]) -> list[Document]:
    """Drop the spans of other types."""
    return [
        document.with_spans(span for span in document.spans if span.label in types) for document in documents
    ]


def require_mentions(documents: Sequence[Document], *, source: str, types: Sequence[str] = ()) -> None:
    """Refuse gold documents without a mention: every score on them would be 0.

    Raises:
        InputError: no document has a span.
    """
    if not any(document.spans for document in documents):
        kinds = f" of {', '.join(types)}" if types else ""
        raise InputError(
            f"{source}: found no gold mention{kinds} in {len(documents)} documents, so there is nothing to "
            "score; check the file, its format and its keys"
        )


def _require_head(name: str, heads: Sequence[str]) -> None:
    if name not in heads:
        raise InputError(f"this bundle has no head for {name!r}; available: {', '.join(heads)}")
