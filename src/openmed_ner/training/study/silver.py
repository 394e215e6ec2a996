"""Texts that a model of a study tags, as training documents for others."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

from openmed_ner.bundle import Bundle
from openmed_ner.errors import InputError
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.inference.jobs.inputs import find_inputs, iter_items
from openmed_ner.model.bundles import load_model, make_reader
from openmed_ner.storage import atomic_file
from openmed_ner.tagging import predict
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.text import Document
from openmed_ner.training.engine.precision import Precision
from openmed_ner.training.engine.processes import join

SILVER = "silver.jsonl"


def draw(documents: Iterable[Document], count: int) -> list[Document]:
    """Draw texts at random, without repetition and independently of their order: the smallest hashes.

    Args:
        documents: documents; only the drawn ones are kept in memory.
        count: number of documents to draw, all if there are fewer.
    """
    hashed = (
        (blake2b(document.text.encode("utf-8", "surrogatepass")).digest(), document) for document in documents
    )
    drawn: dict[bytes, Document] = {}
    # twice the count, since equal texts have equal hashes
    for digest, document in heapq.nsmallest(2 * count, hashed, key=lambda pair: pair[0]):
        drawn.setdefault(digest, document)
    return list(drawn.values())[:count]


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
