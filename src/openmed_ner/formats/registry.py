"""The table of formats: one row says how a format is read, written, recognised and offered for download.

The command line, the service and its page take their choices from these rows, so a new format is one module
with its reader and writer, one row here and one line in ``docs/formats.md``. A file is recognised by its name
alone: its content is untrusted, and several formats share their first bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from openmed_ner.formats.files import strip_gz
from openmed_ner.formats.parquet import EXTRA
from openmed_ner.formats.passage import Passage
from openmed_ner.text import Document

Reader = Callable[..., Iterator[Document]]
PathReader = Callable[..., Iterator[Document]]
PassageReader = Callable[..., Iterator[Passage]]
Writer = Callable[..., None]

_PLAIN_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class FormatFunction:
    """A reader or writer, whose module is imported when it is first called: a run needs two or three of them.

    Attributes:
        module: module of the format.
        name: name of the function in it.
    """

    module: str
    name: str

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the function."""
        return getattr(import_module(f"{__package__}.{self.module}"), self.name)(*arguments, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A file format.

    Attributes:
        name: name on the command line and in requests.
        reader: reader of an open text file; takes ``source`` and ``on_bad``.
        path_reader: reader of a path, for formats of more than one file; takes ``on_bad``.
        passage_reader: reader of the passages of a public dump, for pretraining; takes a path, ``on_skip``
            and ``on_bad``.
        document_reader: reader of the same dump for tagging, if it reads more; takes a path, ``on_skip``,
            ``on_bad`` and the options of the format.
        options: names of the options of the reader of documents.
        writer: writer of documents to an open text file; takes ``on_bad``.
        folder_writer: writer of documents to a folder; takes ``on_bad``.
        suffixes: suffixes of file names, without ``.gz``.
        file_name: pattern of the beginning of a file name; precedes all suffixes.
        title: name for people in the lists of the service's page; ``None`` if it is not offered there.
        media_type: media type of a download.
        extension: extension of a downloaded file, without the leading dot.
        by_line: if true, the reader can pass over a record that is not UTF-8; it then expects lone surrogates
            in place of the bytes.
        inexact: if true, the writer takes ``exact=False`` and drops what the format cannot hold, and digits.
        textless: if true, the writer takes ``with_text=False`` and writes mentions alone.
        attributes: if true, the writer takes ``attributes=True`` to make room for attributes of spans.
        requires: module that the writer needs, and the extra that installs it; ``None`` for none. Such a
            format is not offered for download.
    """

    name: str
    reader: Reader | None = None
    path_reader: PathReader | None = None
    passage_reader: PassageReader | None = None
    document_reader: PathReader | None = None
    options: tuple[str, ...] = ()
    writer: Writer | None = None
    folder_writer: Writer | None = None
    suffixes: tuple[str, ...] = ()
    file_name: re.Pattern[str] | None = None
    title: str | None = None
    media_type: str | None = None
    extension: str | None = None
    by_line: bool = False
    inexact: bool = False
    textless: bool = False
    attributes: bool = False
    requires: tuple[str, str] | None = None

    @property
    def shard_extension(self) -> str | None:
        """Extension of one file of a run in shards; ``None`` if the format cannot be written in shards."""
        return None if self.writer is None or self.extension is None else self.extension.rpartition(".")[2]

    def tagged_writer(self, *, attributes: bool = False, with_text: bool = True) -> Writer | None:
        """Return the writer for documents from a tagger, which may have any white space; ``None`` if none.

        Scores and corpora are dropped if the format has no place for them, and line breaks become blanks: the
        entities matter most, and their offsets stay true.

        Args:
            attributes: if true, spans may have attributes.
            with_text: if false, leave out the texts, which not all formats can.
        """
        if self.writer is None or not (with_text or self.textless):
            return None
        options: dict[str, bool] = {"exact": False} if self.inexact else {}
        if self.attributes:
            options["attributes"] = attributes
        if not with_text:
            options["with_text"] = False
        return partial(self.writer, **options)


_ROWS = (
    Format(name="text", reader=FormatFunction("plain", "read_plain"), suffixes=(".txt",), title="plain text"),
    Format(
        name="jsonl",
        reader=FormatFunction("jsonl", "read_jsonl"),
        writer=FormatFunction("jsonl", "write_jsonl"),
        suffixes=(".jsonl",),
        title="JSON lines",
        media_type="application/x-ndjson",
        extension="jsonl",
        by_line=True,
        textless=True,
    ),
    Format(
        name="csv",
        reader=FormatFunction("csv", "read_csv"),
        writer=FormatFunction("csv", "write_csv"),
        options=("columns",),
        suffixes=(".csv",),
        title="CSV",
        media_type="text/csv; charset=utf-8",
        extension="csv",
        by_line=True,
        inexact=True,
        textless=True,
        attributes=True,
    ),
    Format(
        name="tsv",
        reader=FormatFunction("csv", "read_csv"),
        writer=partial(FormatFunction("csv", "write_csv"), delimiter="\t"),
        options=("columns",),
        title="CSV with tabs",
        media_type="text/tab-separated-values; charset=utf-8",
        extension="tsv",
        by_line=True,
        inexact=True,
        textless=True,
        attributes=True,
    ),
    Format(
        name="conll",
        reader=FormatFunction("conll", "read_conll"),
        writer=FormatFunction("conll", "write_conll"),
        suffixes=(".conll", ".iob2", ".tsv"),
        title="CoNLL",
        media_type=_PLAIN_TEXT,
        extension="conll",
        by_line=True,
        inexact=True,
    ),
    Format(
        name="conll-lenient",
        reader=partial(FormatFunction("conll", "read_conll"), repair="conlleval"),
        by_line=True,
    ),
    Format(
        name="pubtator",
        reader=FormatFunction("pubtator", "read_pubtator"),
        writer=FormatFunction("pubtator", "write_pubtator"),
        suffixes=(".pubtator",),
        title="PubTator",
        media_type=_PLAIN_TEXT,
        extension="pubtator",
        by_line=True,
        inexact=True,
    ),
    Format(name="bioc", reader=FormatFunction("bioc", "read_bioc")),
    Format(
        name="bioc-xml",
        reader=FormatFunction("bioc", "read_bioc_xml"),
        writer=FormatFunction("bioc", "write_bioc_xml"),
        suffixes=(".xml",),
        title="BioC XML",
        media_type="application/xml",
        extension="bioc.xml",
        by_line=True,
    ),
    Format(
        name="bioc-json",
        reader=FormatFunction("bioc", "read_bioc_json"),
        writer=FormatFunction("bioc", "write_bioc_json"),
        suffixes=(".json",),
        title="BioC JSON",
        media_type="application/json",
        extension="bioc.json",
    ),
    Format(
        name="html",
        writer=FormatFunction("html", "write_html"),
        title="HTML to read",
        media_type="text/html; charset=utf-8",
        extension="html",
    ),
    Format(
        name="brat",
        path_reader=FormatFunction("brat", "read_brat"),
        folder_writer=FormatFunction("brat", "write_brat"),
        title="brat (zip)",
        media_type="application/zip",
        extension="brat.zip",
    ),
    Format(
        name="label-studio",
        reader=FormatFunction("label_studio", "read_label_studio"),
        writer=FormatFunction("label_studio", "write_label_studio"),
        title="Label Studio",
        media_type="application/json",
        extension="labelstudio.json",
        inexact=True,
    ),
    Format(
        name="doccano",
        reader=FormatFunction("doccano", "read_doccano"),
        writer=FormatFunction("doccano", "write_doccano"),
        title="doccano",
        media_type="application/x-ndjson",
        extension="doccano.jsonl",
        inexact=True,
    ),
    Format(
        name="prodigy",
        reader=FormatFunction("prodigy", "read_prodigy"),
        writer=FormatFunction("prodigy", "write_prodigy"),
        title="Prodigy",
        media_type="application/x-ndjson",
        extension="prodigy.jsonl",
        inexact=True,
    ),
    Format(
        name="pubannotation",
        reader=FormatFunction("pubannotation", "read_pubannotation"),
        title="PubAnnotation",
    ),
    Format(
        name="webanno",
        reader=FormatFunction("webanno", "read_webanno"),
        folder_writer=FormatFunction("webanno", "write_webanno"),
        title="WebAnno TSV (zip)",
        media_type="application/zip",
        extension="webanno.zip",
    ),
    Format(
        name="xmi",
        reader=FormatFunction("xmi", "read_xmi"),
        folder_writer=FormatFunction("xmi", "write_xmi"),
        suffixes=(".xmi",),
        title="UIMA XMI (zip)",
        media_type="application/zip",
        extension="xmi.zip",
    ),
    Format(
        name="parquet",
        folder_writer=FormatFunction("parquet", "write_parquet"),
        title="Parquet",
        requires=EXTRA,
    ),
    Format(
        name="jats",
        reader=FormatFunction("jats", "read_jats"),
        options=("sections",),
        suffixes=(".nxml", ".jats"),
        title="JATS",
        by_line=True,
    ),
    Format(
        name="medline",
        reader=FormatFunction("medline", "read_medline"),
        suffixes=(".nbib", ".medline"),
        title="MEDLINE",
        by_line=True,
    ),
    Format(name="bc2gm", path_reader=FormatFunction("pairs", "read_bc2gm_files")),
    Format(name="chemdner", path_reader=FormatFunction("pairs", "read_chemdner_files")),
    Format(name="mmax", path_reader=FormatFunction("mmax", "read_mmax")),
    # The dumps carry no annotations, so they are read as passages, and only on request or by name.
    Format(
        name="pubmed",
        passage_reader=FormatFunction("pubmed", "read_pubmed"),
        document_reader=FormatFunction("pubmed", "read_pubmed_documents"),
        options=("languages", "retracted"),
        file_name=re.compile(r"pubmed.*n\d+.*\.xml", re.IGNORECASE),
    ),
    Format(
        name="clinicaltrials",
        passage_reader=FormatFunction("clinicaltrials", "read_clinicaltrials"),
        file_name=re.compile(r"(ctg-studies|NCT\d{8}).*\.(json|jsonl|zip)", re.IGNORECASE),
    ),
)

REGISTRY = {row.name: row for row in _ROWS}
"""Every format by name, in the order in which choices are listed."""
READERS = {row.name: row.reader for row in _ROWS if row.reader}
"""Readers of formats that are one annotated file."""
PATH_READERS = {row.name: row.path_reader for row in _ROWS if row.path_reader}
"""Readers of formats that are more than one file."""
FORMATS = (*READERS, *PATH_READERS)
"""Names of the formats of annotated documents that can be read."""
PASSAGE_FORMATS = (*FORMATS, *(row.name for row in _ROWS if row.passage_reader))
"""Names of all formats that running text is read from."""
WRITERS = {row.name: row.writer for row in _ROWS if row.writer}
"""Writers of formats that are one file."""
FOLDER_WRITERS = {row.name: row.folder_writer for row in _ROWS if row.folder_writer}
"""Writers of formats that are a folder."""
SUFFIXES = {suffix: row.name for row in _ROWS for suffix in row.suffixes}
"""Name of the format by suffix."""
TEXTLESS = tuple(row.name for row in _ROWS if row.textless)
"""Names of the formats that mentions can be written in without their texts."""
LINEWISE = tuple(row.name for row in _ROWS if row.by_line)
"""Names of the formats whose readers can pass over a line that is not UTF-8."""


def tagged_writers(*, attributes: bool = False, with_text: bool = True) -> dict[str, Writer]:
    """Writers of all formats that are one file, for documents from a tagger.

    Args:
        attributes: if true, spans may have attributes.
        with_text: if false, writers that leave out the texts, of the formats that can.
    """
    writers = {row.name: row.tagged_writer(attributes=attributes, with_text=with_text) for row in _ROWS}
    return {name: writer for name, writer in writers.items() if writer}


def detect_format(path: Path) -> str:
    """Infer the format of annotated documents from the suffix of a file; plain text if it is unknown."""
    return SUFFIXES.get(Path(strip_gz(path.name)).suffix.lower(), "text")


def infer_written_format(path: Path) -> str | None:
    """Infer the format to write from the suffix of a file; ``None`` if no format that is one file has it.

    What ends in ``.tsv`` is written as a table, as everywhere else, though it may be read as CoNLL.
    """
    suffix = path.suffix.lower()
    rows = [row for row in _ROWS if row.writer and row.extension and suffix]
    for row in rows:
        if suffix == f".{row.extension}":
            return row.name
    names = (
        row.name for row in rows if suffix in (*row.suffixes, f".{str(row.extension).rpartition('.')[2]}")
    )
    return next(names, None)


def infer_format(path: Path) -> str | None:
    """Infer the format of a file, public dumps included; ``None`` if it is hidden or of no known format."""
    if path.name.startswith("."):
        return None
    for row in _ROWS:
        if row.file_name and row.file_name.match(path.name):
            return row.name
    return SUFFIXES.get(Path(strip_gz(path.name)).suffix.lower())
