"""The application: its routes, and the layers that every request passes.

From the outside in: observer, host check, CORS (only if origins are allowed), token check (only if there is
a token), body limits, routes. The page consists of static files of the package. They are read once, when the
application is created, and no other file can be requested. The OpenAPI page needs no scripts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from openmed_ner.bundle.record import version
from openmed_ner.errors import RefusedError
from openmed_ner.inference.tagger import Tagger
from openmed_ner.service import reference
from openmed_ner.service.endpoints import Service
from openmed_ner.service.errors import STATUSES, to_response
from openmed_ner.service.middleware import Observer, quiet_readers
from openmed_ner.service.outputs import MEDIA_TYPES, write_formats_module
from openmed_ner.service.schemas import (
    BioCCollection,
    Bundles,
    ErrorAnswer,
    FileRequest,
    State,
    Tagged,
    TagRequest,
)
from openmed_ner.service.security import BodyLimits, HostCheck, TokenCheck
from openmed_ner.service.settings import ServiceSettings

PAGE_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
"""Media types of the page's files; others are not served."""
_NO_PAGE = "This service has no page. POST texts to /tag; see /docs.\n"
_ALWAYS = (403, 408, 413, 500)
_TAGGING = (*_ALWAYS, 415, 422, 429, 503, 504)
_EXAMPLE = {"text": "Cisplatin caused nephrotoxicity in 3 of 40 patients.", "threshold": 0.5}


def create_app(tagger: Tagger, settings: ServiceSettings, *, sha256: str | None = None) -> FastAPI:
    """Create the application; its :class:`Service` is in ``app.state.service``.

    Args:
        tagger: tagger of the texts.
        settings: access and limits.
        sha256: digest of the tagger's bundle, for responses.
    """
    service = Service(tagger, settings, sha256=sha256)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with quiet_readers():
            async with service.batcher.running():
                yield

    app = FastAPI(
        title="OpenMed NER",
        version=version(),
        description="Biomedical named entity recognition. Offsets count Unicode code points, end excluded.",
        docs_url=None,  # FastAPI's own pages load scripts from other machines
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )

    app.state.service = service
    app.add_exception_handler(RefusedError, _answer_refusal)
    app.add_exception_handler(HTTPException, _answer_http_error)
    _add_api(app, service, needs_token=settings.token is not None)
    open_paths = frozenset({"/health", "/openapi.json", *_add_page(app), *_add_reference(app)})
    _add_layers(app, service, settings, open_paths)
    return app


def _add_layers(
    app: FastAPI, service: Service, settings: ServiceSettings, open_paths: frozenset[str]
) -> None:
    """Add the layers around the application, the innermost first."""
    app.add_middleware(BodyLimits, max_body=settings.max_body, timeout=settings.body_timeout)
    if settings.token is not None:
        app.add_middleware(TokenCheck, token=settings.token, is_open=open_paths.__contains__)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Content-Disposition", "Retry-After"],
        )

    app.add_middleware(HostCheck, hosts=settings.allowed_hosts, origins=settings.origins)
    paths = frozenset(path for route in app.routes if (path := getattr(route, "path", None)))
    app.add_middleware(Observer, metrics=service.metrics, routes=paths)


def _add_api(app: FastAPI, service: Service, *, needs_token: bool) -> None:
    closed = (401,) if needs_token else ()
    answers = {
        "model": Tagged | BioCCollection,
        "content": _media("application/json"),
        "description": "Tagged.",
    }
    metrics = {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Counters."}
    tagger = service.tagger

    for path, endpoint, method, answer, statuses, body in (
        ("/tag", service.tag, "POST", answers, _TAGGING, _json_body(tagger)),
        ("/tag/file", service.tag_file, "POST", answers, _TAGGING, _form_body(tagger)),
        ("/bundles", service.bundles, "GET", {"model": Bundles, "description": "Models."}, _ALWAYS, None),
        ("/health", service.health, "GET", {"model": State, "description": "Alive."}, _ALWAYS, None),
        ("/ready", service.ready, "GET", {"model": State, "description": "Ready."}, (*_ALWAYS, 503), None),
        ("/metrics", service.write_metrics, "GET", metrics, _ALWAYS, None),
    ):
        refused = sorted({*statuses, *(closed if path != "/health" else ())})
        app.add_api_route(
            path,
            endpoint,
            methods=[method],
            response_class=Response,
            responses={200: answer, **{status: _refused(status) for status in refused}},
            openapi_extra=body,
        )


def _add_page(app: FastAPI) -> list[str]:
    """Serve the files of the page, with its index at the root; return their paths."""
    folder = files("openmed_ner.service") / "page"
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name) if folder.is_dir() else []
    resources = {
        f"/{entry.name}": (entry.read_bytes(), PAGE_TYPES[suffix])
        for entry in entries
        if entry.is_file() and (suffix := f".{entry.name.rpartition('.')[2]}") in PAGE_TYPES
    }
    resources["/formats.js"] = (write_formats_module().encode(), PAGE_TYPES[".js"])
    resources["/"] = resources.pop("/index.html", (_NO_PAGE.encode(), "text/plain; charset=utf-8"))

    for path, (content, media_type) in resources.items():
        _add_static(app, path, content, media_type)
    return list(resources)


def _add_reference(app: FastAPI) -> list[str]:
    """Serve the OpenAPI document as a page; return its paths."""
    page = reference.write_reference(app.openapi()).encode()
    _add_static(app, "/docs", page, PAGE_TYPES[".html"])
    _add_static(app, "/docs.css", reference.STYLE.encode(), PAGE_TYPES[".css"])
    return ["/docs", "/docs.css"]


def _add_static(app: FastAPI, path: str, content: bytes, media_type: str) -> None:
    async def answer(request: Request) -> Response:
        return Response(content, headers={"Content-Type": media_type})

    app.router.routes.append(Route(path, answer, methods=["GET"], include_in_schema=False))


async def _answer_refusal(request: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedError):
        raise error
    return to_response(error)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """Give the framework's own refusals (404, 405) the shape of all refusals."""
    if not isinstance(error, HTTPException):
        raise error
    codes = {404: "not_found", 405: "method_not_allowed"}
    message = STATUSES.get(error.status_code, "refused")
    code = codes.get(error.status_code, "refused")
    return to_response(RefusedError(error.status_code, code, message, headers=error.headers))


def _refused(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {"model": ErrorAnswer, "description": STATUSES[status]}
    if status in (429, 503):
        schema = {"type": "integer", "minimum": 1}
        response["headers"] = {"Retry-After": {"schema": schema, "description": "Seconds to wait."}}
    return response


def _media(*excluded: str) -> dict[str, Any]:
    """Describe the media types of the outputs, some excluded."""
    names = {media_type.partition(";")[0] for media_type in MEDIA_TYPES.values()} - set(excluded)
    return {name: {"schema": {"type": "string"}} for name in sorted(names)}


def _json_body(tagger: Tagger) -> dict[str, Any]:
    schema = TagRequest.model_json_schema()
    for name, choices in (("corpora", tagger.corpora), ("types", tagger.types)):
        schema["properties"][name]["items"] = {"type": "string", "enum": list(choices)}
    content = {"application/json": {"schema": schema, "example": _EXAMPLE}}
    return {"requestBody": {"required": True, "content": content}}


def _form_body(tagger: Tagger) -> dict[str, Any]:
    schema = FileRequest.model_json_schema()
    for name, choices in (("corpora", tagger.corpora), ("types", tagger.types)):
        description = f"{schema['properties'][name]['description']} Names separated by commas."
        schema["properties"][name] = {
            "type": "string",
            "description": description,
            "examples": [",".join(choices)],
        }
    file = {"type": "string", "format": "binary", "description": "The file."}
    schema["properties"] = {"file": file, **schema["properties"]}
    schema["required"] = ["file"]
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
