"""The requests of the service, each answered by one method.

A tagging request is read, checked against the limits and the names of the model, queued and awaited. The
wait ends early at the time limit, or if the client disconnects. The response is written in a thread. Every
failure on the way is a refusal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from openmed_ner.errors import (
    ClosedError,
    InputError,
    MissingExtraError,
    QueueFullError,
    RefusedError,
    TaggingFailedError,
    UnknownConceptError,
)
from openmed_ner.inference.attributes import add_attributes, describe_concepts
from openmed_ner.inference.note_hint import find_hint
from openmed_ner.inference.tagger import Tagger
from openmed_ner.service.batcher import Batcher, cost
from openmed_ner.service.description import describe_bundle
from openmed_ner.service.errors import CLIENT_GONE
from openmed_ner.service.metrics import MEDIA_TYPE, Metrics
from openmed_ner.service.middleware import CHARACTERS, DOCUMENTS
from openmed_ner.service.outputs import write_body
from openmed_ner.service.schemas import TagOptions, read_request
from openmed_ner.service.settings import ServiceSettings
from openmed_ner.service.uploads import UploadReader, receive_upload, require_few_texts, require_within
from openmed_ner.text import Document

_Result = TypeVar("_Result")
_SLACK = 4
"""Factor by which a machine may turn out to be faster than its latest batches."""
_RESTART = 10.0
"""Seconds after which a client may retry with a service that is stopping."""


class Service:
    """Answers requests with a tagger, within the limits of its settings."""

    def __init__(self, tagger: Tagger, settings: ServiceSettings, *, sha256: str | None) -> None:
        """Set up the service; :attr:`batcher` must be running before a request is answered.

        Args:
            tagger: tagger of the texts.
            settings: limits of requests.
            sha256: digest of the tagger's bundle, for responses.
        """
        self.tagger, self._settings, self._sha256 = tagger, settings, sha256
        self._reader = UploadReader(settings)
        self.metrics = Metrics(queue_length=lambda: self.batcher.n_pending)
        self.batcher = Batcher(tagger, limit=settings.max_queue, on_batch=self.metrics.add_batch)

    async def tag(self, request: Request) -> Response:
        """Tag one text or several."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RefusedError(415, "unsupported_media_type", "expected application/json")
        tag_request = read_request(await request.body())
        require_few_texts(tag_request.n_texts, self._settings)
        deadline = time.monotonic() + self._settings.timeout
        return await self._answer(request, tag_request.documents, tag_request, deadline)

    async def tag_file(self, request: Request) -> Response:
        """Tag the documents of an uploaded file."""
        upload = await receive_upload(
            request.headers.get("content-type", ""), request.stream(), max_body=self._settings.max_body
        )
        deadline = time.monotonic() + self._settings.timeout
        content = await self._wait(request, self._reader.read(upload, deadline), deadline)
        options = upload.request
        del upload  # its bytes are not needed while the texts wait
        return await self._answer(request, content.documents, options, deadline, content.problems)

    async def bundles(self) -> Response:
        """Describe the model: its heads, the guideline of each, its licence and its digest."""
        bundle = await asyncio.to_thread(describe_bundle, self.tagger, self._sha256)
        return JSONResponse({"bundles": [bundle]})

    async def health(self) -> Response:
        """Report that the process is alive. Needs no token, so that supervisors can ask."""
        return JSONResponse({"status": "alive"})

    async def ready(self) -> Response:
        """Report that a request would be accepted now."""
        if not self.batcher.is_open:
            raise _stopping()
        if self.batcher.is_full:
            raise RefusedError(503, "queue_full", "the queue is full", retry_after=1)
        return JSONResponse({"status": "ready"})

    async def write_metrics(self) -> Response:
        """Write the metrics, for Prometheus."""
        return Response(self.metrics.write(), headers={"Content-Type": MEDIA_TYPE})

    async def _answer(
        self,
        request: Request,
        documents: list[Document],
        options: TagOptions,
        deadline: float,
        problems: Sequence[str] = (),
    ) -> Response:
        self._require_possible(documents, options)
        request.scope["state"][DOCUMENTS] = len(documents)
        request.scope["state"][CHARACTERS] = sum(len(document.text) for document in documents)
        pipe_options = options.pipe_options
        try:
            # The first call loads libraries and terminologies.
            await asyncio.to_thread(add_attributes, (), pipe_options.add, pipe_options.identifiers)
        except MissingExtraError as error:
            raise RefusedError(422, "not_installed", str(error), places=["add"]) from error
        except UnknownConceptError as error:
            reason = "under: no terminology in use has one of the concepts"
            raise RefusedError(422, "invalid_request", reason, places=["under"]) from error
        except InputError as error:  # this service has no terminologies
            raise RefusedError(422, "not_installed", str(error), places=["add"]) from error

        tagged = await self._tag(request, documents, options, deadline)
        self.metrics.add_documents(tagged)
        bundle = {"name": self.tagger.manifest.name, "sha256": self._sha256}
        concepts = None
        if options.concepts:
            concepts = await asyncio.to_thread(
                describe_concepts, tagged, pipe_options.identifiers, pipe_options.add
            )
        body = await asyncio.to_thread(
            write_body,
            tagged,
            options.output,
            bundle=bundle,
            problems=problems,
            hint=find_hint(documents, self.tagger.corpora),
            concepts=concepts,
            utf16=options.offsets == "utf16",
            with_text=options.return_text,
        )

        disposition = {"Content-Disposition": f'attachment; filename="{body.file_name}"'}
        headers = {"Content-Type": body.media_type, **(disposition if body.file_name else {})}
        return Response(body.content, headers=headers)

    def _require_possible(self, documents: list[Document], options: TagOptions) -> None:
        """Refuse a request that could not be accepted at any time."""
        require_within(documents, self._settings)
        total = sum(map(cost, documents))
        if total > self.batcher.limit:
            message = (
                f"the texts have {total} characters; the limit is {self.batcher.limit}; send fewer at once"
            )
            raise RefusedError(422, "too_many_texts", message)
        if total > _SLACK * self.batcher.speed * self._settings.timeout:
            message = (
                f"the texts have {total} characters, which takes longer than {self._settings.timeout:g} "
                "seconds here; send fewer at once"
            )
            raise RefusedError(422, "too_slow", message)
        try:
            self.tagger.pipe((), **options.pipe_options.for_tagger())
        except InputError as error:
            places = ["corpora" if set(options.corpora or ()) - set(self.tagger.corpora) else "types"]
            raise RefusedError(422, "unknown_name", str(error), places=places) from error

    async def _tag(
        self, request: Request, documents: Sequence[Document], options: TagOptions, deadline: float
    ) -> list[Document]:
        """Wait for the tagged documents."""
        try:
            return await self._wait(request, self.batcher.tag(documents, options.pipe_options), deadline)
        except QueueFullError as error:
            message = "the queue is full; retry after the seconds that Retry-After names"
            raise RefusedError(429, "queue_full", message, retry_after=error.retry_after) from error
        except ClosedError as error:
            raise _stopping() from error
        except TaggingFailedError as error:
            message = "the model failed on these texts; others are not affected"
            places = [f"texts.{index}" for index in error.indices[:100]]
            raise RefusedError(503, "tagging_failed", message, places=places, retry_after=_RESTART) from error

    async def _wait(self, request: Request, task: Coroutine[Any, Any, _Result], deadline: float) -> _Result:
        """Wait for a result, up to the time limit, and as long as the client is connected."""
        work = asyncio.ensure_future(task)
        gone = asyncio.ensure_future(_until_gone(request))
        try:
            done, _ = await asyncio.wait(
                (work, gone),
                timeout=max(deadline - time.monotonic(), 0),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if work in done:
                return work.result()
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.wait((work, gone))

        if gone in done:
            raise RefusedError(CLIENT_GONE, "client_gone", "the client has disconnected")
        raise RefusedError(
            504, "timeout", f"no result within {self._settings.timeout:g} seconds; send less at once"
        )


def _stopping() -> RefusedError:
    return RefusedError(503, "stopping", "the service is stopping, or not started yet", retry_after=_RESTART)


async def _until_gone(request: Request) -> None:
    # The body has been read, so all that can come is the disconnection.
    while (await request.receive())["type"] != "http.disconnect":
        pass
