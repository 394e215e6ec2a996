"""The values of a manifest: their types, and whether they agree with each other.

Every function raises ``ValueError`` for a value that a manifest must not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openmed_ner.bundle.manifest import Manifest

N_SPECIAL = 2
"""Subwords of a window that stand for no text."""


def read_number(value: object) -> int:
    """Return a whole number from 0 on; JSON also has others, and endless ones."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected a whole number, found {value!r}")
    return value


def read_text(value: object) -> str:
    """Return a text."""
    if not isinstance(value, str):
        raise ValueError(f"expected a text, found {value!r}")
    return value


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
    ruled = {corpus for merge in manifest.merges.values() for corpus in merge.order}
    if unknown := sorted({*ruled, *manifest.document_decoding} - {*corpora}):
        raise ValueError(f"a rule names {unknown[0]!r}, which has no head")
