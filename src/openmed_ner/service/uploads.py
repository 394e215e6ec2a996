"""Read an uploaded file: the part ``file`` of a form, in any format that is one file.

The file stays in memory and is read as a stream, document by document, so that the limits on texts end the
reading early. A bad record or annotation is a problem of its own, and the others are read. Compressed files
are refused, since they can unpack to any size. Messages may quote the file, and go to its sender only.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
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

_MAX_FIELDS = 8
_MAX_FIELD = 10_000
_MAX_NAME = 200
_MAX_PROBLEMS = 100
_MAX_MESSAGE = 500
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
class FileProblem:
    """A record or an annotation of a file that is left out.

    Attributes:
        message: the reason, with the place.
        is_record: if true, a text is missing; otherwise only an annotation, which tagging replaces anyway.
    """

    message: str
    is_record: bool


@dataclass(frozen=True, slots=True)
class FileContent:
    """Content of a file.

    Attributes:
        documents: the documents that can be read.
        problems: omissions, in order; the first of many.
    """

    documents: list[Document]
    problems: list[FileProblem]


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


def read_upload(upload: Upload, settings: ServiceSettings) -> FileContent:
    """Read the documents of a file, within the limits.

    Raises:
        RefusedError: the format is unknown, the file does not follow it, it has a bad record that the output
            has no place to report, or there are too many or too long texts.
    """
    name, content = upload.name, upload.content
    if content.startswith(_COMPRESSED):
        raise RefusedError(415, "compressed", "the file is compressed; unpack it first", places=["file"])
    input_format = _find_format(upload)
    if input_format.startswith("conll"):
        _require_short_gaps(content, settings.max_text)

    documents: list[Document] = []
    problems: list[FileProblem] = []

    def note(error: InputError) -> None:
        is_record = not isinstance(error, AnnotationError)
        # Only the answer in JSON has a place for problems.
        if is_record and upload.request.output != DEFAULT_OUTPUT:
            raise error
        if len(problems) < _MAX_PROBLEMS or (is_record and not documents):
            problems.append(FileProblem(str(error)[:_MAX_MESSAGE], is_record))

    n_characters = 0
    try:
        for document in _iter_documents(content, input_format, name, note):
            n_characters += len(document.text)
            documents.append(document)
            require_within([document], settings)
            if len(documents) > settings.max_texts or n_characters > settings.max_queue:
                require_within(documents, settings)
        bad_records = [problem.message for problem in problems if problem.is_record]
        if bad_records and not documents:
            raise CorpusFormatError(bad_records[0])
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


def require_within(documents: list[Document], settings: ServiceSettings) -> None:
    """Refuse documents beyond the limits.

    Raises:
        RefusedError: there are too many texts, or a text is too long.
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
                f"a text has {len(document.text)} characters; the limit is {settings.max_text}; "
                "openmed-ner tag reads texts of any length",
            )


def _iter_documents(content: bytes, format: str, name: str, on_bad: OnBad) -> Iterator[Document]:
    file = TextIOWrapper(BytesIO(content), encoding="utf-8", newline="\n")
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
