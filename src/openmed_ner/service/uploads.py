"""Read an uploaded file: one part ``file`` of a form, in any format that is one file.

The file is kept in memory and read as a stream, document by document, so that the limits on texts end
the reading early. Compressed files are refused: unpacking them is the client's work. Messages about a
file may quote it; they go to its sender only.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path, PurePosixPath

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from openmed_ner.errors import CorpusFormatError, RefusedError
from openmed_ner.formats import READERS, detect_format
from openmed_ner.service.schemas import FileRequest
from openmed_ner.service.settings import ServiceSettings
from openmed_ner.text import Document

_MAX_FIELDS = 8
_MAX_FIELD = 10_000
_MAX_NAME = 200
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
_CONLL_OFFSETS = re.compile(rb"\t[0-9]{1,18}\t([0-9]{1,18})\t[^\t\n]*$", re.MULTILINE)
_LINE = re.compile(", (line|document) ([0-9]+)")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came.

    Attributes:
        name: its last name, without folders.
        content: its bytes.
        request: the fields beside it.
    """

    name: str
    content: bytes
    request: FileRequest


async def receive_upload(content_type: str, stream: AsyncGenerator[bytes, None], *, max_body: int) -> Upload:
    """Receive a form with a file.

    Raises:
        RefusedError: it is no such form.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not 0 < len(options.get(b"boundary", b"")) <= 200:
        raise RefusedError(415, "unsupported_media_type", "expected multipart/form-data with a boundary")
    # Only the boundary is passed on: a charset of the client's choice would decode the names.
    boundary = options[b"boundary"].decode("latin-1").replace('"', "")
    headers = Headers({"content-type": f'multipart/form-data; boundary="{boundary}"'})
    parser = MultiPartParser(headers, stream, max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD)
    parser.spool_max_size = max_body + 1  # nothing that is sent here touches the disk
    try:
        return await _to_upload(await parser.parse())
    except MultiPartException as error:
        raise RefusedError(422, "invalid_form", error.message) from error
    finally:
        for file in parser._files_to_close_on_error:  # a form closes only those whose end has come
            file.close()


async def _to_upload(form: FormData) -> Upload:
    fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    file = form.get("file")
    if not isinstance(file, UploadFile) or len(form.multi_items()) != len(fields) + 1:
        raise RefusedError(422, "invalid_form", "expected one file, and each field once", where=["file"])
    name = PurePosixPath((file.filename or "").replace("\\", "/")).name[-_MAX_NAME:] or "upload.txt"
    return Upload(name, await file.read(), FileRequest.from_fields(fields))


def read_upload(upload: Upload, settings: ServiceSettings) -> list[Document]:
    """Read the documents of a file, within the limits.

    Raises:
        RefusedError: the format is unknown or the file does not follow it, or texts are too many or too long.
    """
    name, content = upload.name, upload.content
    if content.startswith(_COMPRESSED):
        raise RefusedError(415, "compressed", "the file is compressed; unpack it first", where=["file"])
    source = upload.request.source
    kind = detect_format(Path(name)) if source == "auto" else source
    if kind not in READERS:
        raise RefusedError(
            422, "unknown_format", f"unknown input format; known: auto, {', '.join(READERS)}", where=["from"]
        )
    if kind.startswith("conll"):
        _require_short_gaps(content, settings.max_text)
    documents: list[Document] = []
    n_characters = 0
    try:
        for document in _iter_documents(content, kind, name):
            n_characters += len(document.text)
            documents.append(document)
            require_within([document], settings)
            if len(documents) > settings.max_texts or n_characters > settings.max_queue:
                require_within(documents, settings)
    except CorpusFormatError as error:
        place = _LINE.search(str(error).removeprefix(name))
        where = [" ".join(place.groups())] if place else ["file"]
        raise RefusedError(422, "invalid_file", str(error), where=where) from error
    return documents


def require_within(documents: list[Document], settings: ServiceSettings) -> None:
    """Refuse what could never be taken.

    Raises:
        RefusedError: a text is too long, or there are too many of them.
    """
    if len(documents) > settings.max_texts:
        raise RefusedError(
            422, "too_many_texts", f"more than {settings.max_texts} texts; send them in several requests"
        )
    for document in documents:
        if len(document.text) > settings.max_text:
            raise RefusedError(
                422,
                "text_too_long",
                f"a text has {len(document.text)} characters, at most {settings.max_text} are read here; "
                "openmed-ner tag reads any length",
            )


def _iter_documents(content: bytes, format: str, name: str) -> Iterator[Document]:
    file = TextIOWrapper(BytesIO(content), encoding="utf-8", newline="\n")
    try:
        yield from READERS[format](file, source=name)
    except UnicodeDecodeError as error:
        raise CorpusFormatError(f"{name}, {_locate(content)}: not UTF-8; convert it first") from error


def _locate(content: bytes) -> str:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return _line_at(content, error.start)
    return _line_at(content, 0)


def _line_at(content: bytes, place: int) -> str:
    return f"line {content.count(bytes([10]), 0, place) + 1}"


def _require_short_gaps(content: bytes, max_text: int) -> None:
    """Refuse offsets that would make a reader fill the memory with blanks between tokens."""
    for found in _CONLL_OFFSETS.finditer(content):
        if int(found[1]) > max_text:
            raise RefusedError(
                422,
                "text_too_long",
                f"a token ends beyond the {max_text} characters that a text may have here",
                where=[_line_at(content, found.start())],
            )
