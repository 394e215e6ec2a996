"""Texts that a model of a study tags, for others to learn from."""

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
from openmed_ner.tagging import predict
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.text import Document
from openmed_ner.training.engine.precision import Precision
from openmed_ner.training.engine.processes import join

SILVER = "silver.jsonl"


def draw(documents: Iterable[Document], count: int) -> list[Document]:
    """Draw texts at random, without repetition, whatever their order: those with the smallest hashes.

    Args:
        documents: any number of them; only those drawn are kept in memory.
        count: how many to draw, if there are so many.
    """
    by_hash = ((blake2b(each.text.encode("utf-8", "surrogatepass")).digest(), each) for each in documents)
    drawn: dict[bytes, Document] = {}
    for digest, document in heapq.nsmallest(2 * count, by_hash, key=lambda pair: pair[0]):
        drawn.setdefault(digest, document)
    return list(drawn.values())[:count]


def read_texts(path: Path) -> Iterator[Document]:
    """The documents of a file, a folder or a pattern, in any format that can be tagged.

    Raises:
        InputError: there is nothing to read, or a record cannot be read.
    """
    for item in iter_items(find_inputs([path])):
        if isinstance(item.content, Exception):
            raise InputError(f"{item.name}, item {item.number}: {item.content}") from item.content
        if isinstance(item.content, Document):
            yield item.content


def write_documents(documents: Iterable[Document], path: Path) -> None:
    """Write documents to a file, in one move."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        write_jsonl(documents, file)
    partial.replace(path)


def write_silver(bundle: Bundle, documents: Iterable[Document], path: Path) -> None:
    """Let a model tag documents, in the precision it was trained in, and write them to a file.

    A tagger would compute in threads of its own, which autocast here does not reach.
    """
    model = load_model(bundle)
    device = join().device
    model.to(device).eval()
    precision = Precision("auto", device)

    def run(ids: LongArray, mask: LongArray) -> FloatArray:
        with precision.autocast():
            return model.run(ids, mask)

    write_documents(predict(documents, run=run, reader=make_reader(bundle)), path)
