"""Answer the requests of the page in the browser that shows it.

Pyodide runs this module in a worker of the page, where numpy is the only package beside this one. There are
no threads. The model is computed by a session of onnxruntime-web, whose results arrive later. JavaScript
Promise Integration lets this code wait for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.manifest import MODEL, TOKENIZER
from openmed_ner.errors import InputError, RefusedError, RunError
from openmed_ner.formats import read_documents
from openmed_ner.inference.attributes import add_attributes
from openmed_ner.inference.loading import check_outputs
from openmed_ner.inference.note_hint import find_hint
from openmed_ner.inference.parts import ModelPart
from openmed_ner.inference.tagger import Tagger
from openmed_ner.service.batcher import PipeOptions
from openmed_ner.service.browser.wordpiece import WordPieceTokenizer
from openmed_ner.service.description import describe_bundle
from openmed_ner.service.outputs import DEFAULT_OUTPUT, Body, write_body
from openmed_ner.tagging import SubwordTokenizer
from openmed_ner.tagging.batching import LongArray, find_multiple, name_inputs
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.text import Document

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Compute = Callable[[Mapping[str, LongArray]], FloatArray]
"""A session: named inputs, each ``(batch, n_subwords)``, to logits ``(batch, n_subwords, n_tags)``."""
_OPTIONS = ("corpora", "types", "layers", "threshold", "add")
"""Fields of a request that are options of the tagger."""
_LISTS = ("corpora", "types", "add")
"""Options that a form holds as names with commas between them."""


class SessionBackend:
    """A graph that a session outside of Python computes."""

    def __init__(self, compute: Compute, names: Collection[str]) -> None:
        """Adopt a session.

        Args:
            compute: the session.
            names: names of its inputs.
        """
        self._compute = compute
        self._inputs = names
        self.multiple = find_multiple(names)

    def run(self, *inputs: LongArray) -> FloatArray:
        """Compute logits; see :class:`openmed_ner.inference.backends.Backend`.

        Raises:
            RunError: the session fails.
        """
        try:
            return self._compute(name_inputs(inputs, self._inputs))
        except Exception as error:  # whatever the browser raises
            raise RunError(f"the session failed on a batch of {inputs[0].shape}: {error}") from error


def load_tagger(
    bundle: Bundle, characters: Mapping[str, Any], compute: Compute, names: Collection[str]
) -> Tagger:
    """Load a tagger that needs neither tokenizers nor ONNX Runtime, and starts no thread.

    Args:
        bundle: a runtime bundle over a BERT encoder.
        characters: table of characters of its tokenizer, from
            :func:`openmed_ner.service.browser.wordpiece.describe_characters`.
        compute: a session with its graph.
        names: names of the inputs of the graph.

    Raises:
        BundleError: tokenizer, graph and heads do not fit.
    """
    manifest = bundle.manifest
    content = bundle.read(TOKENIZER).decode("utf-8")
    # It has the methods that are called, and its class cannot be named where tokenizers is missing.
    tokenizer = SubwordTokenizer(cast("Tokenizer", WordPieceTokenizer(content, characters)))
    backend = SessionBackend(compute, names)
    check_outputs(bundle, backend, tokenizer)
    part = ModelPart(manifest.heads, backend)
    matcher = bundle.read_matcher()
    return Tagger(
        manifest,
        tokenizer,
        [part],
        backend=manifest.backend,
        workers=0,
        matcher=matcher,
        multiple=backend.multiple,
    )


class LocalService:
    """The paths of the HTTP service that the page asks, without HTTP."""

    def __init__(self, tagger: Tagger, *, sha256: str) -> None:
        """Set up the service.

        Args:
            tagger: tagger of the texts.
            sha256: digest of its bundle.
        """
        self._tagger, self._sha256 = tagger, sha256

    def answer(
        self,
        path: str,
        fields: Mapping[str, Any],
        content: bytes = b"",
        name: str = "",
        stop: Callable[[], bool] | None = None,
    ) -> tuple[int, str, bytes]:
        """Answer a request.

        Args:
            path: ``bundles``, ``tag`` or ``tag/file``.
            fields: fields of the request.
            content: bytes of a file.
            name: name of the file.
            stop: asked before each batch. Once it returns true, tagging ends with a refusal.

        Returns:
            Status, media type and body of a response.
        """
        try:
            if path == "bundles":
                record = {"bundles": [describe_bundle(self._tagger, self._sha256)]}
                return 200, "application/json", _to_json(record)
            if path == "tag":
                body = self._tag([Document("0", fields["text"])], fields, (), stop)
            else:
                problems: list[InputError] = []
                documents = _read_file(content, name, fields, problems.append)
                if problems and not documents:
                    raise problems[0]
                body = self._tag(documents, _read_form(fields), [*map(str, problems)], stop)
        except RefusedError as error:
            return _refuse(error.status, error.message, error.places)
        except InputError as error:
            return _refuse(422, str(error))
        except (RunError, MemoryError) as error:
            return _refuse(503, str(error) or "the browser has too little memory for this")
        return 200, body.media_type, body.content

    def _tag(
        self,
        documents: list[Document],
        fields: Mapping[str, Any],
        problems: Sequence[str],
        stop: Callable[[], bool] | None,
    ) -> Body:
        options = PipeOptions(**{name: value for name, value in fields.items() if name in _OPTIONS})
        tagged = self._tagger.pipe(documents, **options.for_tagger(), stop=stop)
        return write_body(
            list(add_attributes(tagged, options.add)),
            fields.get("output", DEFAULT_OUTPUT),
            bundle={"name": self._tagger.manifest.name, "sha256": self._sha256},
            problems=problems,
            hint=find_hint(documents, self._tagger.corpora),
        )


def _read_file(
    content: bytes, name: str, fields: Mapping[str, Any], on_bad: Callable[[InputError], None]
) -> list[Document]:
    """Read the documents of a file without their spans, by its content and its name."""
    source = fields.get("from", "auto")
    with TemporaryDirectory() as folder:
        path = Path(folder) / (Path(name).name or "upload.txt")
        path.write_bytes(content)
        named = None if source == "auto" else source
        found = read_documents(path, format=named, source=path.name, on_bad=on_bad)
        return [document.with_spans(()) for document in found]


def _read_form(fields: Mapping[str, str]) -> dict[str, Any]:
    """Read the options of a form, which are all texts."""
    options: dict[str, Any] = {name: value for name, value in fields.items() if value}
    options |= {name: options[name].split(",") for name in _LISTS if name in options}
    if "threshold" in options:
        options["threshold"] = float(options["threshold"])
    if "layers" in options:
        options["layers"] = options["layers"] == "true"
    return options


def _refuse(status: int, message: str, places: tuple[str, ...] = ()) -> tuple[int, str, bytes]:
    record = {"error": {"message": message, "where": places}}
    return status, "application/json", _to_json(record)


def _to_json(record: object) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode()


def start(folder: str, characters: str, create: Callable[..., Any]) -> LocalService:
    """Start the service in Pyodide.

    Args:
        folder: folder of the bundle in the file system of Pyodide.
        characters: file with what the tokenizer makes of characters, as JSON.
        create: JavaScript function that makes a session of the bytes of a graph.

    Raises:
        BundleError: the bundle is damaged.
    """
    from pyodide.ffi import run_sync, to_js

    bundle = open_bundle(Path(folder))
    session = run_sync(create(to_js(bundle.read(MODEL))))

    def compute(inputs: Mapping[str, LongArray]) -> FloatArray:
        shape = next(iter(inputs.values())).shape
        arrays = [array.ravel() for array in inputs.values()]
        result = run_sync(session.run(to_js(list(inputs)), to_js(arrays), to_js(shape)))
        logits = np.asarray(result.data.to_py(), dtype=np.float32)
        return logits.reshape(result.dims.to_py())

    table = json.loads(Path(characters).read_text(encoding="utf-8"))
    names = session.inputs.to_py()
    return LocalService(load_tagger(bundle, table, compute, names), sha256=bundle.sha256)
