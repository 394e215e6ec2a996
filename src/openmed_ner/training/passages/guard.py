"""Keep the dev and test documents of all corpora out of the pretraining set.

A passage is dropped if it shares one long sentence with any dev or test document. Sentences are compared
without case, spacing and punctuation (:func:`sentence_keys`), and without numbers, since some collections
lost theirs. Others lost text in brackets, so a held-out sentence is also searched for without its brackets.
Sentences that appear in more than ``COMMON`` held-out documents are phrases ("No competing interests") and do
not count. One shared sentence is a strict rule: it drops a few passages that share only a method with a test
document, which costs nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from openmed_ner.corpora import CATALOG, Corpus, corpora_folder, load_split
from openmed_ner.corpora.overlap import common_keys, sentence_keys
from openmed_ner.errors import CorpusError
from openmed_ner.storage import sha256
from openmed_ner.text import Document
from openmed_ner.training.passages.settings import GuardMode
from openmed_ner.training.passages.text import without_numbers

HELD_OUT = ("dev", "test")

_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")


@dataclass(frozen=True, slots=True)
class Guard:
    """Sentences of the dev and test documents, and the splits that they appear in.

    Attributes:
        places: splits, as ``corpus/split``, by the key of a sentence.
        documents: number of documents of each split that was read.
        missing: corpora that are not available.
        common: number of sentences that were too common to count.
    """

    places: Mapping[bytes, frozenset[str]] = field(default_factory=dict)
    documents: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    common: int = 0

    def find(self, text: str) -> frozenset[str]:
        """Find the splits with which a text shares a sentence."""
        if not self.places:
            return frozenset()
        keys = self.places.keys() & sentence_keys(without_numbers(text))
        return frozenset[str]().union(*(self.places[key] for key in keys))

    def digest(self) -> str:
        """SHA-256 of all sentences and their splits."""
        lines = (f"{key.hex()} {' '.join(sorted(splits))}\n" for key, splits in sorted(self.places.items()))
        return sha256("".join(lines).encode())


def held_out_keys(text: str) -> frozenset[bytes]:
    """Keys of the sentences of a held-out text, with and without the text in brackets."""
    bare = without_numbers(text)
    return sentence_keys(bare) | sentence_keys(_BRACKETS.sub("", bare))


def make_guard(splits: Mapping[str, Sequence[Document]], *, missing: Iterable[str] = ()) -> Guard:
    """Build a guard from the documents of dev and test splits, named ``corpus/split``."""
    texts = {document.text for documents in splits.values() for document in documents}
    keys = {text: held_out_keys(text) for text in texts}
    # Counted by distinct texts: corpora share documents, and a copy is no evidence of a phrase.
    ignored = common_keys(keys)
    places: defaultdict[bytes, set[str]] = defaultdict(set)
    for name, documents in splits.items():
        for document in documents:
            for key in keys[document.text] - ignored:
                places[key].add(name)
    return Guard(
        {key: frozenset(names) for key, names in places.items()},
        {name: len(documents) for name, documents in splits.items()},
        tuple(missing),
        len(ignored),
    )


def load_guard(
    mode: GuardMode,
    *,
    folder: Path | None = None,
    on_split: Callable[[str], None] = lambda name: None,
) -> Guard:
    """Build a guard from the dev and test splits of the catalog.

    Args:
        mode: ``catalog`` needs all corpora, ``available`` uses those whose archive is available, ``nothing``
            reads none.
        folder: folder of the archives; the folder named by ``OPENMED_NER_CORPORA`` if ``None``.
        on_split: callback with the name of each split before it is read.

    Raises:
        CorpusError: no folder is named, or a corpus is missing or damaged.
    """
    if mode == "nothing":
        return Guard()
    try:
        archives = folder or corpora_folder()
    except CorpusError as error:
        raise CorpusError(f"{error}. {_WAY_OUT}") from error

    missing = [corpus.name for corpus in CATALOG.values() if not _is_available(corpus, archives)]
    if missing and mode == "catalog":
        raise CorpusError(
            f"{archives} lacks {', '.join(missing)}, whose dev and test documents must stay out of "
            "pretraining. See: openmed-ner corpora fetch --help; or guard with the available corpora: "
            f'guard = "available". {_WAY_OUT}'
        )

    splits = {}
    for corpus in CATALOG.values():
        for split in HELD_OUT:
            if corpus.name not in missing and split in corpus.splits:
                name = f"{corpus.name}/{split}"
                on_split(name)
                splits[name] = load_split(corpus.name, split, folder=archives).documents
    return make_guard(splits, missing=missing)


_WAY_OUT = (
    'To prepare passages without looking for test documents among them, set guard = "nothing"; '
    "the manifest of the set then states it"
)


def _is_available(corpus: Corpus, folder: Path) -> bool:
    return all((folder / member.archive).is_file() for member in corpus.members)
