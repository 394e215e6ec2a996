"""A service over a tagger that needs no model."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import httpx
from fastapi import FastAPI

from openmed_ner.bundle import open_bundle
from openmed_ner.errors import InputError, RunError
from openmed_ner.inference.tagger import embedded_bundle
from openmed_ner.service.app import create_app
from openmed_ner.service.settings import ServiceSettings
from openmed_ner.text import Document, Span

MARKER = "zebrafish-9731"


SECRET = "0123456789abcdef-token"


class StubTagger:
    """Finds every ``drug…`` and ``ill…``; fails on ``FAIL``; waits for ``go`` where a text says ``WAIT``."""

    corpora = ("drugs", "ills")
    types = main_types = ("Chemical", "Disease")

    def __init__(self) -> None:
        self.manifest = open_bundle(embedded_bundle()).manifest
        self.go = threading.Event()
        self.started = threading.Event()
        self.batches: list[list[str]] = []
        self.document_decoding: list[bool] = []

    def pipe(
        self,
        texts: Iterable[str | Document],
        *,
        corpora: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        layers: bool = False,
        threshold: float = 0.0,
        document_decoding: bool = True,
        stop: Callable[[], bool] | None = None,
    ) -> Iterator[Document]:
        for name in (*(corpora or ()), *(types or ())):
            if name not in (*self.corpora, *self.types):
                raise InputError(f"unknown name {name!r}")
        documents = [text if isinstance(text, Document) else Document("0", text) for text in texts]
        self.document_decoding.append(document_decoding)
        return self._tag(documents, corpora, types, threshold, stop or (lambda: False))

    def _tag(
        self,
        documents: Sequence[Document],
        corpora: Sequence[str] | None,
        types: Sequence[str] | None,
        threshold: float,
        stop: Callable[[], bool],
    ) -> Iterator[Document]:
        if documents:
            self.batches.append([document.id for document in documents])
        for document in documents:
            if "FAIL" in document.text:
                raise RuntimeError(f"cannot read {document.text}")
            if "WAIT" in document.text:
                self.started.set()
                deadline = time.monotonic() + 20
                while not self.go.wait(0.01):
                    assert time.monotonic() < deadline
                    if stop():
                        raise RunError("tagging was stopped")
            spans = [
                Span(match.start(), match.end(), label, score, corpus)
                for corpus, label, score, pattern in (
                    ("drugs", "Chemical", 0.9, r"drug\w*"),
                    ("ills", "Disease", 0.4, r"ill\w*"),
                )
                for match in re.finditer(pattern, document.text)
                if (corpora is None or corpus in corpora)
                and (types is None or label in types)
                and score >= threshold
            ]
            coverage = {"characters": len(document.text), "windows": 1, "complete": True}
            yield replace(document, spans=tuple(spans), meta={**document.meta, "coverage": coverage})


def make_app(tagger: Any, **options: Any) -> FastAPI:
    return create_app(tagger, ServiceSettings(**{"hosts": ("testserver",), **options}))


def code(response: Any) -> str:
    error = response.json()["error"]
    assert set(error) == {"code", "message", "where"}
    return str(error["code"])


async def asgi(app: FastAPI, requests: Callable[[httpx.AsyncClient], Any]) -> Any:
    transport = httpx.ASGITransport(app)
    async with (
        app.state.service.batcher.running(),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        return await requests(client)
