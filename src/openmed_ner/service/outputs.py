"""Write tagged documents as the body of an answer, in any format that ``openmed-ner tag`` writes.

Formats that cannot hold scores or white space leave them out, as on the command line. Brat is a folder
of files, so it is made in a private temporary folder, which is then gone, and answered as an archive
whose bytes depend on the documents alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openmed_ner.errors import InputError, RefusedError
from openmed_ner.formats import FOLDER_WRITERS, tagged_writers
from openmed_ner.formats.jsonl import to_json
from openmed_ner.text import Document

MEDIA_TYPES = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "pubtator": "text/plain; charset=utf-8",
    "bioc-json": "application/json",
    "bioc-xml": "application/xml",
    "conll": "text/plain; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "brat": "application/zip",
}
_SUFFIXES = {"bioc-json": "bioc.json", "bioc-xml": "bioc.xml", "brat": "brat.zip"}
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time an archive can give a file."""


@dataclass(frozen=True, slots=True)
class Body:
    """The body of an answer."""

    content: bytes
    media_type: str
    file_name: str | None = None


def write_body(documents: Sequence[Document], output: str, *, bundle: dict[str, str | None]) -> Body:
    """Write documents in a format.

    Args:
        documents: what to write.
        output: one of ``MEDIA_TYPES``.
        bundle: name and hash of the model, for the format ``json``.

    Raises:
        RefusedError: the format cannot hold a document.
    """
    if output == "json":
        record = {"documents": [to_json(document) for document in documents], "bundle": bundle}
        return Body(json.dumps(record, ensure_ascii=False).encode(), MEDIA_TYPES[output])
    try:
        content = _archive(documents, output) if output in FOLDER_WRITERS else _write(documents, output)
    except InputError as error:
        raise RefusedError(422, "unrepresentable", str(error), where=["output"]) from error
    return Body(content, MEDIA_TYPES[output], f"entities.{_SUFFIXES.get(output, output)}")


def _write(documents: Sequence[Document], output: str) -> bytes:
    file = StringIO(newline="\n")
    attributes = any(span.attributes for document in documents for span in document.spans)
    tagged_writers(attributes=attributes)[output](documents, file)
    return file.getvalue().encode()


def _archive(documents: Sequence[Document], output: str) -> bytes:
    archive = BytesIO()
    with TemporaryDirectory() as name, ZipFile(archive, "w", ZIP_DEFLATED) as made:
        folder = Path(name) / output
        FOLDER_WRITERS[output](documents, folder)
        for path in sorted(folder.iterdir()):
            made.writestr(ZipInfo(path.name, _EPOCH), path.read_bytes(), ZIP_DEFLATED)
    return archive.getvalue()
