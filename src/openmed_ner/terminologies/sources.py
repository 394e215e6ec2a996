"""Read the files of public terminologies into concepts.

A source is a row: its files, version, licence, and the function that reads them. The files are tables with a
row of column names, separated by tabs, compressed by xz or not. Several values in a cell are separated by
``|``. The authors of a terminology may publish other forms of a file, which then stand in for the table.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.terminologies.concept import Concept

Row = Mapping[str, str]
Files = Mapping[str, Path]
"""Files of a terminology, by the names of its tables."""


@dataclass(frozen=True, slots=True)
class OptionalFile:
    """A file of a terminology that may be missing.

    Attributes:
        contents: what it holds, as the title of the terminology says it.
        adds: what linking gains by it.
        release: names of the files in which its authors publish it.
        address: address of the newest of these.
    """

    contents: str
    adds: str
    release: re.Pattern[str]
    address: str


@dataclass(frozen=True, slots=True)
class Source:
    """A terminology and the files it is read from.

    Attributes:
        name: short name, unique.
        title: name that its authors gave it, with the edition and without optional files.
        version: version as its authors state it; empty if the file does not state one.
        licence: terms, as an SPDX identifier where there is one.
        home: address of its authors.
        files: names of its files.
        read: reads the files that are there, by their names. Those that are not optional always are.
        optional: files that may be missing, by their names.
    """

    name: str
    title: str
    version: str
    licence: str
    home: str
    files: tuple[str, ...]
    read: Callable[[Files], Iterator[Concept]]
    optional: Mapping[str, OptionalFile] = field(default_factory=dict, hash=False)

    def title_of(self, files: Files) -> str:
        """The title, with the optional files that are there."""
        contents = (
            f"{part.contents} ({files[name].name})" for name, part in self.optional.items() if name in files
        )
        return ", ".join((self.title, *contents))

    def name_table(self, name: str) -> str | None:
        """Name of the table that a file is, or that it stands in for; ``None`` if it is neither."""
        if table := next((table for table in self.files if name in (table, table.removesuffix(".xz"))), None):
            return table
        return next((table for table, part in self.optional.items() if part.release.fullmatch(name)), None)


def read_table(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a table.

    Args:
        path: the file; compressed if it ends in ``.xz``.
        columns: columns that must be there.

    Raises:
        CorpusFormatError: a column is missing, a row has another number of cells, or the file is damaged.
    """
    import lzma  # here, since Python in a browser is built without it

    line = 1
    try:
        with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
            rows = csv.reader(
                io.TextIOWrapper(file, encoding="utf-8", newline="\n"), delimiter="\t", quoting=csv.QUOTE_NONE
            )
            header = next(rows, [])
            if missing := [name for name in columns if name not in header]:
                raise CorpusFormatError(f"{path}, line 1: there is no column {missing[0]!r}")
            for line, row in enumerate(rows, start=2):
                if len(row) != len(header):
                    raise CorpusFormatError(
                        f"{path}, line {line}: {len(row)} cells; expected {len(header)}, as in line 1"
                    )
                yield dict(zip(header, row, strict=True))
    except (lzma.LZMAError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise CorpusFormatError(f"{path}, after line {line}: {error}") from error


def find_files(paths: Sequence[Path], sources: Sequence[Source]) -> dict[Source, Files]:
    """Assign files and the files of folders to the sources that read them.

    Raises:
        InputError: a path does not exist, two files hold the same, a source lacks a file that is not
            optional, or there is no source.
    """
    if missing_path := next((path for path in paths if not path.exists()), None):
        raise InputError(f"{missing_path} does not exist")
    files = [
        file
        for path in paths
        for file in (sorted(path.iterdir()) if path.is_dir() else [path])
        if file.is_file()
    ]
    available: dict[Source, dict[str, Path]] = {source: {} for source in sources}
    for source, present in available.items():
        for file in files:
            if (name := source.name_table(file.name)) is None:
                continue
            if (other := present.get(name, file)).name != file.name:
                raise InputError(f"{other} and {file} hold the same; name one of them")
            present[name] = file
    for source, present in available.items():
        needed = [name for name in source.files if name not in source.optional]
        missing = [name for name in needed if name not in present]
        if present and missing:
            raise InputError(
                f"{source.name} is read from {' and '.join(needed)}; {missing[0]} is missing. "
                "--packaged adds the tables of the package"
            )
    complete: dict[Source, Files] = {source: present for source, present in available.items() if present}
    if not complete:
        names = ", ".join(name for source in sources for name in source.files)
        raise InputError(
            f"no terminology in {', '.join(map(str, paths))}. Name a file of yours (.csv, .tsv, .obo, .json, "
            f".nt, .rdf or .xml), or known files: {names}"
        )
    return complete


def split_cell(cell: str, separator: str = "|") -> list[str]:
    """Split the values of a cell; blanks around a value are dropped, as are empty values."""
    return [value.strip() for value in cell.split(separator) if value.strip()]
