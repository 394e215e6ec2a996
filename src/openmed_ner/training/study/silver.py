"""Texts that a model of a study tags, as training documents for others."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.errors import InputError
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.inference.jobs.inputs import find_inputs, iter_items
from openmed_ner.model.bundles import load_model, make_reader
from openmed_ner.storage import atomic_file, digest_text
from openmed_ner.tagging import predict
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.terminologies import TAGS, Matcher, open_lexicon, read_words
from openmed_ner.terminologies.store import find_store
from openmed_ner.text import Document
from openmed_ner.training.engine.precision import Precision
from openmed_ner.training.engine.processes import join
from openmed_ner.training.study.plan import Study
from openmed_ner.training.study.specs import TeacherSpec

SILVER = "silver.jsonl"


def draw(documents: Iterable[Document], count: int, *, matcher: Matcher | None = None) -> list[Document]:
    """Draw texts at random, without repetition and independently of their order.

    A hash of the text is its random number, so a smaller draw is a part of a larger one. With a matcher,
    texts with more names for their length are drawn more often (weighted sampling without replacement;
    Efraimidis and Spirakis, 2006).

    Args:
        documents: documents; only the drawn ones are kept in memory.
        count: number of documents to draw, all if there are fewer.
        matcher: finds names of a lexicon; ``None`` draws all texts alike.

    Returns:
        The drawn documents, in the order of their hashes.
    """

    def rank(document: Document) -> tuple[float, bytes, Document]:
        digest = digest_text(document.text)
        share = (int.from_bytes(digest[:8]) + 1) / (1 << 64)
        return -math.log(share) / (_richness(document.text, matcher) if matcher else 1.0), digest, document

    drawn: dict[bytes, Document] = {}
    # Twice the count, since equal texts have equal hashes.
    for _, digest, document in heapq.nsmallest(
        2 * count, map(rank, documents), key=lambda ranked: ranked[:2]
    ):
        if len(drawn) < count:
            drawn.setdefault(digest, document)
    return [drawn[digest] for digest in sorted(drawn)]


def _richness(text: str, matcher: Matcher) -> float:
    """Names of a lexicon per hundred words, plus one, so that a text without names may be drawn, too."""
    _, words, spaced = read_words(text)
    tags = matcher.tag(words, spaced)
    names = sum(int(np.count_nonzero(tags == TAGS.index(tag))) for tag in TAGS if tag.startswith("B-"))
    return 1 + 100 * names / max(1, len(words))


def open_matcher(study: Study, teacher: TeacherSpec) -> Matcher | None:
    """Open the lexicon by which a teacher prefers texts; ``None`` if it has no preference.

    It is the lexicon of the study, or else that of the bundle which teaches.

    Raises:
        InputError: the folder of the lexicon holds no compiled terminologies, or damaged ones.
    """
    if teacher.prefer == "any":
        return None
    if not study.training.lexicon.folder:
        return open_bundle(Path(study.bundles[teacher.model])).read_matcher()
    lexicon, _ = open_lexicon(find_store(study.training.lexicon.folder))
    return Matcher(lexicon)


def read_texts(path: Path) -> Iterator[Document]:
    """Yield the documents of a file, a folder or a pattern, in any format that can be tagged.

    Raises:
        InputError: no input was found, or a record cannot be read.
    """
    for item in iter_items(find_inputs([path])):
        if isinstance(item.content, Exception):
            raise InputError(f"{item.name}, item {item.number}: {item.content}") from item.content
        if isinstance(item.content, Document):
            yield item.content


def write_documents(documents: Iterable[Document], path: Path) -> None:
    """Write documents to a file, in one move."""
    with atomic_file(path) as file:
        write_jsonl(documents, file)


def write_silver(bundle: Bundle, documents: Iterable[Document], path: Path) -> None:
    """Tag documents with a model, in the precision it was trained in, and write them to a file."""
    model = load_model(bundle)
    device = join().device
    model.to(device).eval()
    precision = Precision("auto", device)

    # not a Tagger: it would compute in its own threads, which autocast in this one does not reach
    def run(*inputs: LongArray) -> FloatArray:
        with precision.autocast():
            return model.run(*inputs)

    write_documents(predict(documents, run=run, reader=make_reader(bundle)), path)
