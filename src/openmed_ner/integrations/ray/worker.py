"""The part that runs on the machines of a cluster: a tagger, loaded once, that is given blocks.

What cannot be tagged comes back as a refused document, so a bad document never fails its block. A worker that
cannot work, because its node holds another bundle, says so in what it gives back: an error raised here
would be taken for a worker's death, and tried again.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from openmed_ner.errors import BundleError, OpenMedError
from openmed_ner.inference.attributes import add_attributes
from openmed_ner.inference.jobs.receipt import TagFunction
from openmed_ner.integrations.ray.blocks import Block, RefusedDocument
from openmed_ner.text import Document

Batch = Mapping[str, Sequence[Any]]
"""What Ray Data passes around: columns by name. Ours is ``block``."""


class Worker:
    """Tags blocks.

    Args:
        load: makes the tagger, here.
    """

    def __init__(self, load: Callable[[], TagFunction]) -> None:
        self._tag: TagFunction | None = None
        self._refusal = ""
        try:
            self._tag = load()
        except OpenMedError as error:
            self._refusal = _from_here(error)

    def __call__(self, batch: Batch) -> Batch:
        """Tag what Ray Data hands over."""
        return {"block": [self.tag_block(block) for block in batch["block"]]}

    def tag_block(self, block: Block) -> Block:
        """The block with its documents tagged, or refused."""
        if self._tag is None:
            return replace(block, items=(), refusal=self._refusal)
        try:
            documents = [item.content for item in block.items if isinstance(item.content, Document)]
            tagged = iter(_tag_all(self._tag, documents))
        except Exception as error:  # a fault of ours, which ends a run, as it does on one machine
            return replace(block, items=(), refusal=_from_here(error))
        items = (
            replace(item, content=next(tagged)) if isinstance(item.content, Document) else item
            for item in block.items
        )
        return replace(block, items=tuple(items))


def _tag_all(tag: TagFunction, documents: Sequence[Document]) -> list[Document]:
    """Tag documents together; where that fails, each alone."""
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
    """A document that could not be tagged, and why."""
    return RefusedDocument(document.id, document.text, reason=str(reason))


def give(documents: Iterable[Document]) -> Iterator[Document]:
    """A tagger for documents that come back from a cluster: passes them on, and fails at a refused one.

    Raises:
        OpenMedError: as it was raised there.
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
) -> TagFunction:
    """Load a bundle on this node.

    Args:
        folder: of the bundle, or of a suite of them.
        sha256: its digest where the run was begun.
        version: of this package there.
        backend: what computes it.
        threads: to use.
        options: of :meth:`openmed_ner.inference.tagger.Tagger.pipe`.
        steps: attributes to add.

    Raises:
        BundleError: the bundle, or the package, is not what it is where the run was begun.
    """
    from openmed_ner.bundle.record import version as own_version
    from openmed_ner.bundle.suite import bundle_digest
    from openmed_ner.inference.tagger import Tagger

    if own_version() != version:
        raise BundleError(f"openmed-ner {own_version()} is installed, {version} where the run was begun")
    if folder.is_dir() and (found := bundle_digest(folder)) != sha256:
        raise BundleError(
            f"{folder} holds a bundle of digest {found[:12]}, not {sha256[:12]} as where the run was begun; "
            "put the same bundle at this path on every node"
        )
    tagger = Tagger.load(folder, backend=backend, threads=threads, workers=1)
    return lambda documents: add_attributes(tagger.pipe(documents, **options), steps)


def _from_here(error: Exception) -> str:
    return f"node {socket.gethostname()}: {error or type(error).__name__}"
