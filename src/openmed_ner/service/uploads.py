"""Read an uploaded file: the part ``file`` of a form, in any format that is one file.

The file stays in memory and is read as a stream, document by document, so that the limits on texts and on
time end the reading early. Annotations are dropped as soon as they are read, since tagging replaces them. A
bad record or annotation is a problem of its own, and the others are read. Messages may quote the file, and
go to its sender only.

Memory is bounded. One large file is read at a time, and small ones beside it. A file may have as many
elements (of XML), objects and lists (of JSON) or lines (of PubTator, CoNLL and WebAnno) as fit into
``--max-body`` at 40 bytes each. Reading then takes at most ``MEMORY_FACTOR`` times ``--max-body``. Compressed
files are refused, since they can unpack to any size.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import PurePosixPath

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from openmed_ner.errors import AnnotationError, CorpusFormatError, InputError, RefusedError, UnreadFormatError
from openmed_ner.formats import READERS
from openmed_ner.formats.detection import judge
from openmed_ner.formats.recognition import HEAD
from openmed_ner.formats.tolerance import OnBad
from openmed_ner.service.outputs import DEFAULT_OUTPUT
from openmed_ner.service.schemas import FileRequest
from openmed_ner.service.settings import ServiceSettings
from openmed_ner.text import Document

MEMORY_FACTOR = 32
"""Most memory for reading, in multiples of the limit on bodies."""
_SMALL = 100_000
"""Most bytes of a small file."""
_RECORD = 40
"""Bytes per element or object of ordinary files, at least."""
_MAX_FIELDS = 8
_MAX_FIELD = 10_000
_MAX_NAME = 200
_MAX_PROBLEMS = 100
_MAX_MESSAGE = 500
_BY_LINE = ("pubtator", "conll", "webanno")
"""Formats, and beginnings of them, whose readers hold the lines of a document."""
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
"""First bytes of gzip, zip, bzip2, xz and Zstandard."""
_CONLL_OFFSETS = re.compile(rb"\t[0-9]{1,18}\t([0-9]{1,18})\t[^\t\n]*$", re.MULTILINE)
_LINE = re.compile(", (line|document) ([0-9]+)")


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file.

    Attributes:
        name: file name without folders.
        content: bytes of the file.
        request: fields of the form beside the file.
    """

    name: str
    content: bytes
    request: FileRequest


@dataclass(frozen=True, slots=True)
class FileContent:
    """Content of a file.

    Attributes:
        documents: the documents that can be read.
        problems: records and annotations that are left out, with their places, in order; the first of many.
    """

    documents: list[Document]
    problems: list[str]


class UploadReader:
    """Reads uploads in threads: large files one at a time, and small ones beside them."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Set up the threads; they start with the first file.

        Args:
            settings: limits of texts and bodies.
        """
        self._settings = settings
        self._large = ThreadPoolExecutor(1, "reading-large")
        self._small = ThreadPoolExecutor(2, "reading-small")

    async def read(self, upload: Upload, deadline: float) -> FileContent:
        """Read a file as :func:`read_upload` does, once a thread is free; not at all if it is cancelled."""
        threads = self._small if len(upload.content) <= _SMALL else self._large
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, read_upload, upload, self._settings, deadline)


async def receive_upload(content_type: str, stream: AsyncGenerator[bytes, None], *, max_body: int) -> Upload:
    """Receive a form with a file.

    Raises:
        RefusedError: the body is not a form with one file.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not 0 < len(options.get(b"boundary", b"")) <= 200:
        raise RefusedError(415, "unsupported_media_type", "expected multipart/form-data with a boundary")
    # Only the boundary is passed on: a charset of the client's choice would decode the names.
    boundary = options[b"boundary"].decode("latin-1").replace('"', "")
    headers = Headers({"content-type": f'multipart/form-data; boundary="{boundary}"'})
    parser = MultiPartParser(headers, stream, max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD)
    parser.spool_max_size = max_body + 1  # no upload may touch the disk

    try:
        return await _to_upload(await parser.parse())
    except MultiPartException as error:
        raise RefusedError(422, "invalid_form", error.message) from error
    finally:
        for file in parser._files_to_close_on_error:  # the form closes only complete files
            file.close()


async def _to_upload(form: FormData) -> Upload:
    fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    file = form.get("file")
    if not isinstance(file, UploadFile) or len(form.multi_items()) != len(fields) + 1:
        raise RefusedError(422, "invalid_form", "expected one file, and each field once", places=["file"])
    # A client may send a whole path, with the separators of its own system.
    name = PurePosixPath((file.filename or "").replace("\\", "/")).name[-_MAX_NAME:] or "upload.txt"
    return Upload(name, await file.read(), FileRequest.from_fields(fields))


def read_upload(upload: Upload, settings: ServiceSettings, deadline: float | None = None) -> FileContent:
    """Read the documents of a file, without their spans, within the limits.

    Args:
        upload: the file.
        settings: limits of texts and bodies.
        deadline: time of the monotonic clock when reading is given up; never if ``None``.

    Raises:
        RefusedError: the format is unknown, the file does not follow it, it has a bad record that the output
            has no place to report, there are too many or too long texts or too many records, or the time is
            up.
    """
    name, content = upload.name, upload.content
    if content.startswith(_COMPRESSED):
        raise RefusedError(415, "compressed", "the file is compressed; unpack it first", places=["file"])
    input_format = _find_format(upload)
    if input_format.startswith("conll"):
        _require_short_gaps(content, settings.max_text)
    _require_few_records(content, input_format, settings.max_body // _RECORD)

    documents: list[Document] = []
    problems: list[str] = []
    first_bad = ""

    def note(error: InputError) -> None:
        is_record = not isinstance(error, AnnotationError)
        # Only the answer in JSON has a place for problems.
        if is_record and upload.request.output != DEFAULT_OUTPUT:
            raise error
        nonlocal first_bad
        if is_record:
            first_bad = first_bad or str(error)
        if len(problems) < _MAX_PROBLEMS:
            problems.append(str(error)[:_MAX_MESSAGE])

    n_characters = 0
    try:
        for document in _iter_documents(content, input_format, name, note, deadline):
            n_characters += len(document.text)
            documents.append(document.with_spans(()))
            require_within([document], settings)
            if len(documents) > settings.max_texts or n_characters > settings.max_queue:
                require_within(documents, settings)
        if first_bad and not documents:
            raise CorpusFormatError(first_bad)
    except CorpusFormatError as error:
        match = _LINE.search(str(error).removeprefix(name))
        places = [" ".join(match.groups())] if match else ["file"]
        raise RefusedError(422, "invalid_file", str(error), places=places) from error
    return FileContent(documents, problems)


def _find_format(upload: Upload) -> str:
    source = upload.request.source
    if source != "auto" and source not in READERS:
        raise RefusedError(
            422, "unknown_format", f"unknown input format; known: auto, {', '.join(READERS)}", places=["from"]
        )
    named = None if source == "auto" else source
    try:
        name = judge(upload.content[:HEAD], upload.name, format=named, source=upload.name)
    except UnreadFormatError as error:
        message = str(error).replace("--from text", "from=text")
        raise RefusedError(422, "unknown_format", message, places=["file"]) from error
    if name not in READERS:
        raise RefusedError(422, "unknown_format", f"files of {name} are not read here", places=["file"])
    return name


def require_few_texts(n_texts: int, settings: ServiceSettings) -> None:
    """Refuse too many texts.

    Raises:
        RefusedError: there are more than the limit.
    """
    if n_texts > settings.max_texts:
        raise RefusedError(
            422, "too_many_texts", f"more than {settings.max_texts} texts; send them in several requests"
        )


def require_within(documents: list[Document], settings: ServiceSettings) -> None:
    """Refuse documents beyond the limits.

    Raises:
        RefusedError: there are too many texts, or a text is too long.
    """
    require_few_texts(len(documents), settings)
    for document in documents:
        if len(document.text) > settings.max_text:
            raise RefusedError(
                422,
                "text_too_long",
                f"a text has {len(document.text)} characters; the limit is {settings.max_text}; "
                "openmed-ner tag reads texts of any length",
            )


class _TimedFile(BytesIO):
    """A file in memory that can be read until a deadline."""

    def __init__(self, content: bytes, deadline: float | None) -> None:
        super().__init__(content)
        self._deadline = deadline

    def read(self, size: int | None = -1, /) -> bytes:
        """Read the file; text files call this if all of it is wanted."""
        self._check_time()
        return super().read(size)

    def read1(self, size: int | None = -1, /) -> bytes:
        """Read a part of the file; text files call this for each of their blocks."""
        self._check_time()
        return super().read1(size)

    def _check_time(self) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise RefusedError(504, "timeout", "the file was not read in time; send less at once")


def _iter_documents(
    content: bytes, format: str, name: str, on_bad: OnBad, deadline: float | None
) -> Iterator[Document]:
    file = TextIOWrapper(_TimedFile(content, deadline), encoding="utf-8", newline="\n")
    try:
        yield from READERS[format](file, source=name, on_bad=on_bad)
    except UnicodeDecodeError as error:
        raise CorpusFormatError(f"{name}, {_locate(content)}: not UTF-8; convert it first") from error


def _locate(content: bytes) -> str:
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return _line_at(content, error.start)
    return _line_at(content, 0)


def _line_at(content: bytes, position: int) -> str:
    return f"line {content.count(bytes([10]), 0, position) + 1}"


def _require_few_records(content: bytes, format: str, limit: int) -> None:
    """Refuse a file with so many small parts that they would take many times its size in memory."""
    first = content[:HEAD].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first == b"<":
        n_records = content.count(b"<") - content.count(b"</")
    elif first in (b"{", b"["):
        n_records = content.count(b"{") + content.count(b"[")
    else:
        n_records = content.count(b"\n") if format.startswith(_BY_LINE) else 0
    if n_records > limit:
        raise RefusedError(
            422,
            "too_many_records",
            f"the file has {n_records} elements, objects or lines; the limit is {limit}; send it in parts",
            places=["file"],
        )


def _require_short_gaps(content: bytes, max_text: int) -> None:
    """Refuse offsets for which a reader would fill the memory with blanks between tokens."""
    for match in _CONLL_OFFSETS.finditer(content):
        if int(match[1]) > max_text:
            raise RefusedError(
                422,
                "text_too_long",
                f"a token ends beyond the limit of {max_text} characters",
                places=[_line_at(content, match.start())],
            )
