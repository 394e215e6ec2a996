"""A folder of compiled terminologies: tables of concepts and names per type, the lexicon, and a manifest.

The tables are text, separated by tabs and compressed, so anybody can read them. The manifest has the version
and licence of each source, and the SHA-256 of every file, read and written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.storage import read_json, sha256, sha256_file
from openmed_ner.terminologies.concept import TYPES, Concept
from openmed_ner.terminologies.lexicon import Lexicon
from openmed_ner.terminologies.name_index import NameIndex
from openmed_ner.terminologies.short_forms import ShortForm
from openmed_ner.terminologies.sources import read_table, split_cell

MANIFEST = "manifest.json"
LEXICON = "lexicon.npy"
SHORT_FORMS = "short-forms.tsv.xz"
LEARNT = "learnt.tsv.xz"
FORMAT = 1
_SHORT_FORM_COLUMNS = ("short", "type", "count", "share", "long")
ENVIRONMENT = "OPENMED_NER_TERMINOLOGIES"
"""Name of the variable with a folder of compiled terminologies, or with the folder that holds several."""
Learnt = Mapping[tuple[str, str], tuple[str, ...]]
"""Identifiers that annotated text gives to a mention, by type and key of the mention."""
_PRESET = 1  # of xz; higher ones take minutes and save a tenth


def table_name(label: str) -> str:
    """File name of the concepts of a type."""
    return f"{label}.tsv.xz"


def write_concepts(path: Path, concepts: Iterable[Concept]) -> None:
    """Write a table of concepts of one type.

    Raises:
        InputError: a value contains a tab, a line end, or the sign between names.
    """
    rows = (
        (
            concept.id,
            concept.terminology,
            concept.name,
            "|".join(_check(concept)),
            "|".join(concept.parents),
            "|".join(concept.xrefs),
        )
        for concept in concepts
    )
    _write_table(path, ("id", "terminology", "name", "names", "parents", "xrefs"), rows)


def read_concepts(path: Path, label: str) -> Iterator[Concept]:
    """Read a table of concepts.

    Args:
        path: table that :func:`write_concepts` wrote.
        label: type of its concepts.

    Raises:
        CorpusFormatError: the table is damaged.
    """
    for row in read_table(path, ("id", "terminology", "name", "names")):
        names, parents, xrefs = (
            tuple(split_cell(row.get(column, ""))) for column in ("names", "parents", "xrefs")
        )
        yield Concept(row["id"], row["name"], names, label, row["terminology"], parents, xrefs)


def write_short_forms(path: Path, senses: Iterable[ShortForm]) -> None:
    """Write a table of short forms with their shares."""
    rows = ((sense.short, sense.type, str(sense.count), f"{sense.share:.3f}", sense.long) for sense in senses)
    _write_table(path, _SHORT_FORM_COLUMNS, rows)


def read_short_forms(folder: Path) -> Iterator[ShortForm]:
    """Read the short forms of a folder of compiled terminologies; none if the folder has no such table.

    Raises:
        CorpusFormatError: the table is damaged.
    """
    path = folder / SHORT_FORMS
    for row in read_table(path, _SHORT_FORM_COLUMNS) if path.exists() else ():
        try:
            count, share = int(row["count"]), float(row["share"])
        except ValueError as error:
            raise CorpusFormatError(f"{path}: {row['short']!r} has no count or share: {error}") from error
        yield ShortForm(row["short"], row["type"], count, share, row["long"])


def index_name(label: str) -> str:
    """File name of the index of the names of a type."""
    return f"{label}.names"


def write_learnt(path: Path, learnt: Learnt) -> None:
    """Write the identifiers of mentions."""
    rows = ((label, key, "|".join(ids)) for (label, key), ids in sorted(learnt.items()))
    _write_table(path, ("type", "key", "ids"), rows)


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of compiled terminologies.

    Attributes:
        folder: the folder.
        manifest: its manifest.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a folder; its files are checked when they are read.

        Raises:
            InputError: there is none, or it is of another version.
        """
        try:
            manifest = read_json(folder / MANIFEST)
        except OSError as error:
            raise InputError(
                f"{folder} holds no compiled terminologies: {error.strerror}. "
                "Build them with: openmed-ner terminologies build [SOURCE -o PATH]"
            ) from error
        if (version := manifest.get("format")) != FORMAT:
            raise InputError(f"{folder / MANIFEST}: format {version!r}; expected {FORMAT}. Build it again")
        if not isinstance(manifest.get("files"), dict) or not isinstance(manifest.get("sources"), list):
            raise InputError(f"{folder / MANIFEST} lists no files and sources. Build it again")
        return cls(folder, manifest)

    def open_indices(self) -> dict[str, NameIndex]:
        """Open the names of all types that the folder has.

        Raises:
            InputError: it has none, or a file is damaged.
        """
        names = {label: index_name(label) for label in TYPES}
        indices = {
            label: NameIndex.open(self._check_file(name))
            for label, name in names.items()
            if name in self.manifest["files"]
        }
        if not indices:
            raise InputError(f"{self.folder} holds no names for linking. Build it again")
        return indices

    def read_learnt(self) -> Learnt:
        """Read the identifiers that annotated text gives to mentions; empty if the folder has none.

        Raises:
            InputError: the file is not the one that the manifest lists.
            CorpusFormatError: it is damaged.
        """
        if LEARNT not in self.manifest["files"]:
            return {}
        rows = read_table(self._check_file(LEARNT), ("type", "key", "ids"))
        return {(row["type"], row["key"]): tuple(split_cell(row["ids"])) for row in rows}

    def _check_file(self, name: str) -> Path:
        path = self.folder / name
        try:
            digest = sha256_file(path)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}. Build the terminologies again") from error
        if self.manifest["files"][name] != digest:
            raise InputError(f"{path} is not the file that its manifest lists. Build it again")
        return path


def default_store() -> Path:
    """Folder of compiled terminologies in the cache of the user, where none is named."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "openmed-ner" / "terminologies"


def list_stores() -> list[Path]:
    """List the folders of compiled terminologies that the environment names: the folder itself, or those in
    it. Without the variable, that in the cache of the user, if it was built."""
    variable = os.environ.get(ENVIRONMENT)
    if not variable:
        return [folder for folder in [default_store()] if (folder / MANIFEST).is_file()]
    parent = Path(variable)
    if (parent / MANIFEST).is_file():
        return [parent]
    return [path.parent for path in sorted(parent.glob(f"*/{MANIFEST}"))]


def find_store(name: str | Path | None = None) -> Path:
    """Find a folder of compiled terminologies.

    Args:
        name: the folder, or its name in the folder of the environment. If ``None``, the latter itself, or the
            only one in it, or without the variable that in the cache of the user.

    Raises:
        InputError: none is named, or there is none of this name.
    """
    variable = os.environ.get(ENVIRONMENT)
    parent = Path(variable) if variable else None
    if name is not None:
        inside = parent / name if parent else Path(name)
        return inside if (inside / MANIFEST).is_file() else Path(name)
    folders = list_stores()
    if parent is None and not folders:
        raise InputError(
            "no compiled terminologies. Compile those of the package, in about a minute, with: openmed-ner "
            f"terminologies build. Or name a folder with --terminologies or {ENVIRONMENT}"
        )
    if len(folders) != 1:
        raise InputError(
            f"{ENVIRONMENT} names {parent}, which holds {len(folders)} folders of compiled terminologies; "
            "name one with --terminologies"
        )
    return folders[0]


def open_lexicon(folder: Path) -> tuple[Lexicon, dict[str, Any]]:
    """Open the lexicon of a folder of compiled terminologies.

    Returns:
        The lexicon, and the manifest of the folder.

    Raises:
        InputError: there is none, or it is damaged or of another version.
    """
    store = Store.open(folder)
    try:
        content = (folder / LEXICON).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / LEXICON}: {error.strerror}. Build the terminologies again") from error
    if store.manifest["files"].get(LEXICON) != sha256(content):
        raise InputError(f"{folder / LEXICON} is not the file that its manifest lists. Build it again")
    return Lexicon.from_bytes(content, folder / LEXICON), dict(store.manifest)


def _check(concept: Concept) -> tuple[str, ...]:
    values = (concept.id, *concept.all_names)
    for value in values:
        if any(sign in value for sign in "\t\n\r") or (value in concept.names and "|" in value):
            raise InputError(f"{concept.id}: the name {value!r} contains a tab, a line end or '|'")
    return concept.names


def _write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    import lzma  # here, since Python in a browser is built without it

    with lzma.open(path, "wt", preset=_PRESET, encoding="utf-8", newline="\n") as file:
        for row in (header, *rows):
            file.write("\t".join(row) + "\n")
