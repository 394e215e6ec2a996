"""The values of a manifest: their types, whether they agree with each other, and how they are written.

Every function that reads one raises ``ValueError`` for a value that a manifest must not have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openmed_ner.bundle.manifest import Manifest

N_SPECIAL = 2
"""Subwords of a window that stand for no text."""
_NUMBERS = re.compile(r"\[\n\s*-?\d[-+.e\d,\s]*\]")
"""A list of numbers, each on a line of its own; a row of transitions is easier to read on one line."""
MAX_WINDOW = 1 << 16
"""Most subwords of a window: more than any encoder reads, and few enough to try a bundle with one."""


def read_number(value: object) -> int:
    """Return a whole number from 0 on; JSON also has others, and endless ones."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a whole number, found {value!r}")
    return value


def read_text(value: object) -> str:
    """Return a text that can be written; JSON also has halves of surrogate pairs."""
    if not isinstance(value, str):
        raise ValueError(f"expected a text, found {value!r}")
    value.encode()
    return value


def read_list(values: object) -> tuple[str, ...]:
    """Return a list of texts; a text alone would be a list of its letters."""
    if not isinstance(values, list | tuple):
        raise ValueError(f"expected a list, found {values!r}")
    return tuple(map(read_text, values))


def one_of(choices: Sequence[str], value: object) -> str:
    """Return one of the permitted texts."""
    if value not in choices:
        raise ValueError(f"expected one of {', '.join(choices)}, found {value!r}")
    return str(value)


def check_references(manifest: Manifest) -> None:
    """Refuse windows that cannot be read, and names without a head.

    Raises:
        ValueError: the manifest contradicts itself.
    """
    corpora = [head.corpus for head in manifest.heads]
    if repeated := [corpus for corpus in corpora if corpora.count(corpus) > 1]:
        raise ValueError(f"two heads are called {repeated[0]!r}")
    if not 0 <= manifest.overlap <= (manifest.window - N_SPECIAL) // 2:
        raise ValueError(
            f"windows of {manifest.window} subwords cannot overlap by {manifest.overlap}: at most half"
        )
    if manifest.window > MAX_WINDOW:
        raise ValueError(f"a window of {manifest.window} subwords; at most {MAX_WINDOW} can be read")
    if manifest.kind == "adapter" and PurePosixPath(manifest.name).parts != (manifest.name,):
        raise ValueError(f"the adapter is in the folder of its name, which {manifest.name!r} cannot be")
    ruled = {corpus for merge in manifest.merges.values() for corpus in merge.order}
    if unknown := sorted({*ruled, *manifest.document_decoding} - {*corpora}):
        raise ValueError(f"a rule names {unknown[0]!r}, which has no head")


def format_json(record: Mapping[str, Any]) -> str:
    """Write a manifest as JSON with a line for each value, and one for each list of numbers."""
    return _NUMBERS.sub(_join_lines, json.dumps(record, indent=1, ensure_ascii=False)) + "\n"


def _join_lines(match: re.Match[str]) -> str:
    return "[" + " ".join(match[0].strip("[]").split()) + "]"
