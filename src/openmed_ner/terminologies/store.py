"""A folder of compiled terminologies: a table of concepts per type, short forms, the lexicon, and a manifest.

The tables are text, separated by tabs and compressed, so anybody can read them. The manifest has the version
and licence of each source, and the SHA-256 of every file, read and written.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.storage import read_json, sha256
from openmed_ner.terminologies.concept import Concept
from openmed_ner.terminologies.lexicon import Lexicon
from openmed_ner.terminologies.short_forms import ShortForm
from openmed_ner.terminologies.sources import read_table, split_cell

MANIFEST = "manifest.json"
LEXICON = "lexicon.npy"
SHORT_FORMS = "short-forms.tsv.xz"
FORMAT = 1
_SHORT_FORM_COLUMNS = ("short", "type", "count", "share", "long")
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
        (concept.id, concept.terminology, concept.name, "|".join(_check(concept))) for concept in concepts
    )
    _write_table(path, ("id", "terminology", "name", "names"), rows)


def read_concepts(path: Path, label: str) -> Iterator[Concept]:
    """Read a table of concepts.

    Args:
        path: table that :func:`write_concepts` wrote.
        label: type of its concepts.

    Raises:
        CorpusFormatError: the table is damaged.
    """
    for row in read_table(path, ("id", "terminology", "name", "names")):
        names = tuple(split_cell(row["names"]))
        yield Concept(row["id"], row["name"], names, label, row["terminology"])


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


def open_lexicon(folder: Path) -> tuple[Lexicon, dict[str, Any]]:
    """Open the lexicon of a folder of compiled terminologies.

    Returns:
        The lexicon, and the manifest of the folder.

    Raises:
        InputError: there is none, or it is damaged or of another version.
    """
    try:
        manifest = read_json(folder / MANIFEST)
        content = (folder / LEXICON).read_bytes()
    except OSError as error:
        raise InputError(
            f"{folder} holds no compiled terminologies: {error.strerror}. "
            "Build them with: openmed-ner terminologies build SOURCE -o PATH"
        ) from error
    if (version := manifest.get("format")) != FORMAT:
        raise InputError(f"{folder / MANIFEST}: format {version!r}; expected {FORMAT}. Build it again")
    files = manifest.get("files")
    if not isinstance(files, dict) or files.get(LEXICON) != sha256(content):
        raise InputError(f"{folder / LEXICON} is not the file that its manifest lists. Build it again")
    return Lexicon.from_bytes(content, folder / LEXICON), manifest


def _check(concept: Concept) -> tuple[str, ...]:
    values = (concept.id, *concept.all_names)
    for value in values:
        if any(sign in value for sign in "\t\n\r") or (value in concept.names and "|" in value):
            raise InputError(f"{concept.id}: the name {value!r} contains a tab, a line end or '|'")
    return concept.names


def _write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    with lzma.open(path, "wt", preset=_PRESET, encoding="utf-8", newline="\n") as file:
        for row in (header, *rows):
            file.write("\t".join(row) + "\n")
