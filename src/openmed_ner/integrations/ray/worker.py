"""The process that tags blocks on the machines of a cluster; it loads its tagger once.

A document that cannot be tagged comes back as a refused one, so a bad document never fails its block. If a
worker cannot work at all, because its node holds another bundle, it returns the reason in the block: an
exception would count as the death of the worker, and Ray would try again.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from openmed_ner.bundle import record
from openmed_ner.bundle.suite import bundle_digest
from openmed_ner.errors import BundleError, OpenMedError
from openmed_ner.inference.attributes import IdentifierOptions, add_attributes
from openmed_ner.inference.jobs.receipt import TagFunction
from openmed_ner.inference.tagger import Tagger
from openmed_ner.integrations.ray.blocks import Block, RefusedDocument
from openmed_ner.text import Document

Batch = Mapping[str, Sequence[Any]]
"""Columns by name, as Ray Data passes them to functions. The only column is ``block``."""


class Worker:
    """Tags blocks.

    Args:
        load: loads the tagger in this process.
    """

    def __init__(self, load: Callable[[], TagFunction]) -> None:
        self._tag: TagFunction | None = None
        self._failure = ""
        try:
            self._tag = load()
        except OpenMedError as error:
            self._failure = _on_this_node(error)

    def __call__(self, batch: Batch) -> Batch:
        """Tag the blocks of a batch."""
        return {"block": [self.tag_block(block) for block in batch["block"]]}

    def tag_block(self, block: Block) -> Block:
        """Return the block with its documents tagged or refused."""
        if self._tag is None:
            return replace(block, items=(), failure=self._failure)
        try:
            documents = [item.content for item in block.items if isinstance(item.content, Document)]
            tagged = iter(_tag_all(self._tag, documents))
        except Exception as error:  # a bug, which ends the run as on a single machine
            return replace(block, items=(), failure=_on_this_node(error))
        items = (
            replace(item, content=next(tagged)) if isinstance(item.content, Document) else item
            for item in block.items
        )
        return replace(block, items=tuple(items))


def _tag_all(tag: TagFunction, documents: Sequence[Document]) -> list[Document]:
    """Tag documents together; on an error, one by one."""
    try:
        return list(tag(documents))
    except OpenMedError:
        return [_tag_alone(tag, document) for document in documents]


def _tag_alone(tag: TagFunction, document: Document) -> Document:
    try:
        (tagged,) = tag([document])
    except OpenMedError as error:
        return refuse(document, error)
    return tagged


def refuse(document: Document, reason: object) -> RefusedDocument:
    """Mark a document that could not be tagged with the reason."""
    return RefusedDocument(document.id, document.text, reason=str(reason))


def unpack_tagged(documents: Iterable[Document]) -> Iterator[Document]:
    """Pass on documents that a cluster has tagged; stands for a tagger on this side.

    Raises:
        OpenMedError: a document was refused, with the message of the worker.
    """
    for document in documents:
        if isinstance(document, RefusedDocument):
            raise OpenMedError(document.reason)
        yield document


def load_tag(
    folder: Path,
    *,
    sha256: str,
    version: str,
    backend: str | None,
    threads: int,
    options: Mapping[str, Any],
    steps: Sequence[str],
    identifiers: IdentifierOptions | None = None,
) -> TagFunction:
    """Load a bundle on this node.

    Args:
        folder: folder of a bundle or a suite.
        sha256: digest of the bundle on the machine that started the run.
        version: version of this package on that machine.
        backend: backend of a runtime bundle.
        threads: number of threads.
        options: options of :meth:`openmed_ner.inference.tagger.Tagger.pipe`.
        steps: attributes to add.
        identifiers: terminologies and vocabularies on this node; those of the environment if ``None``.

    Raises:
        BundleError: the bundle or the package differs from that of the starting machine.
    """
    if (installed := record.version()) != version:
        raise BundleError(f"openmed-ner {installed} is installed, but the run was started with {version}")
    if folder.is_dir() and (digest := bundle_digest(folder)) != sha256:
        raise BundleError(
            f"{folder} has the digest {digest[:12]}, but the run was started with {sha256[:12]}; "
            "put the same bundle at this path on every node"
        )
    tagger = Tagger.load(folder, backend=backend, threads=threads, workers=1)
    return lambda documents: add_attributes(tagger.pipe(documents, **options), steps, identifiers)


def _on_this_node(error: Exception) -> str:
    return f"node {socket.gethostname()}: {error or type(error).__name__}"
