"""Write tagged documents as the body of a response, in ``json`` or any format of files.

Formats that cannot hold scores or white space leave them out, as on the command line. A format that is a
folder, such as brat, is written to a private temporary folder and sent as an archive. The bytes of the
archive depend on the documents alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openmed_ner.errors import InputError, RefusedError
from openmed_ner.formats import FOLDER_WRITERS, READERS, REGISTRY, tagged_writers
from openmed_ner.formats.jsonl import to_json
from openmed_ner.formats.utf16 import CodeUnits
from openmed_ner.linking import ConceptPlace
from openmed_ner.text import Document

DEFAULT_OUTPUT = "json"
"""Name of the format of answers that are not files: documents, and the bundle that tagged them."""
MEDIA_TYPES = {
    DEFAULT_OUTPUT: "application/json",
    **{name: row.media_type for name, row in REGISTRY.items() if row.media_type},
}
"""Media type of each output, by name."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that an archive can give a file."""


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a response.

    Attributes:
        content: the bytes.
        media_type: value of the header ``Content-Type``.
        file_name: name of the download; ``None`` if it is not one.
    """

    content: bytes
    media_type: str
    file_name: str | None = None


def write_body(
    documents: Sequence[Document],
    output: str,
    *,
    bundle: dict[str, str | None],
    problems: Sequence[str] = (),
    hint: str | None = None,
    concepts: Mapping[str, ConceptPlace] | None = None,
    utf16: bool = False,
    with_text: bool = True,
) -> Body:
    """Write documents in a format.

    Args:
        documents: documents to write.
        output: name of the format, a key of ``MEDIA_TYPES``.
        bundle: name and digest of the model, for ``DEFAULT_OUTPUT``.
        problems: omissions from a file, likewise.
        hint: what to know about the texts, likewise.
        concepts: concepts of the identifiers and those above them, likewise; left out if ``None``.
        utf16: if true, offsets count UTF-16 units, likewise.
        with_text: if false, texts are left out, in ``DEFAULT_OUTPUT`` and the formats that can.

    Raises:
        RefusedError: the format cannot hold a document.
    """
    media_type = MEDIA_TYPES[output]
    if output == DEFAULT_OUTPUT:
        record: dict[str, Any] = {
            "documents": [_record(document, utf16=utf16, with_text=with_text) for document in documents],
            "bundle": bundle,
        }
        if problems:
            record["problems"] = [*problems]
        if hint:
            record["hint"] = hint
        if concepts is not None:
            record["concepts"] = {identifier: asdict(place) for identifier, place in concepts.items()}
        return Body(json.dumps(record, ensure_ascii=False).encode(), media_type)
    try:
        is_folder = output in FOLDER_WRITERS
        content = _archive(documents, output) if is_folder else _write(documents, output, with_text=with_text)
    except InputError as error:
        raise RefusedError(422, "unrepresentable", str(error), places=["output"]) from error
    return Body(content, media_type, _file_name(output))


def _record(document: Document, *, utf16: bool, with_text: bool) -> dict[str, Any]:
    """Build the JSON object of a document."""
    record = to_json(document)
    if utf16:
        to_units = CodeUnits(document.text).to_units
        for span in record["spans"]:
            span["start"], span["end"] = to_units(span["start"]), to_units(span["end"])
            if "fragments" in span:
                span["fragments"] = [[to_units(start), to_units(end)] for start, end in span["fragments"]]
    if not with_text:
        del record["text"]
    return record


def write_formats_module() -> str:
    """Write the page's JavaScript module of formats: those of uploads, and those of downloads."""
    inputs = [{"name": name, "title": REGISTRY[name].title} for name in READERS if REGISTRY[name].title]
    downloads = [
        {"name": DEFAULT_OUTPUT, "title": "JSON", "file": f"entities.{DEFAULT_OUTPUT}"},
        *(
            {"name": name, "title": row.title, "file": _file_name(name)}
            for name, row in REGISTRY.items()
            if row.media_type and row.title
        ),
    ]
    return f"export const INPUTS = {json.dumps(inputs)};\nexport const DOWNLOADS = {json.dumps(downloads)};\n"


def _file_name(output: str) -> str:
    return f"entities.{REGISTRY[output].extension}"


def _write(documents: Sequence[Document], output: str, *, with_text: bool) -> bytes:
    file = StringIO(newline="\n")
    attributes = any(span.attributes for document in documents for span in document.spans)
    tagged_writers(attributes=attributes, with_text=with_text)[output](documents, file)
    return file.getvalue().encode()


def _archive(documents: Sequence[Document], output: str) -> bytes:
    content = BytesIO()
    with TemporaryDirectory() as name, ZipFile(content, "w", ZIP_DEFLATED) as archive:
        folder = Path(name) / output
        FOLDER_WRITERS[output](documents, folder)
        # In a fixed order and without the current time, so that equal documents give equal bytes.
        for path in sorted(folder.iterdir()):
            archive.writestr(ZipInfo(path.name, _EPOCH), path.read_bytes(), ZIP_DEFLATED)
    return content.getvalue()
