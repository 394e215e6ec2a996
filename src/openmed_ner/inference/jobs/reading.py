"""Choice of what to read, for formats that have such a choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from openmed_ner.formats import REGISTRY


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """Options of readers, each for the formats that have it.

    Attributes:
        sections: sections of full-text articles, of :data:`openmed_ner.formats.jats.SECTIONS`; all if
            ``None``.
        languages: languages of PubMed's articles, as codes of three letters; all if ``None``.
        retracted: if true, read retracted articles too.
        columns: names of the columns of tables, by those that :mod:`openmed_ner.formats.csv` expects.
    """

    sections: tuple[str, ...] | None = None
    languages: tuple[str, ...] | None = None
    retracted: bool = True
    columns: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Record of the options that are not the default."""
        return {
            name: [*value] if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value != getattr(EVERYTHING, name)
        }

    def for_format(self, name: str) -> dict[str, Any]:
        """Keyword arguments of the reader of a format."""
        return {option: getattr(self, option) for option in REGISTRY[name].options}


EVERYTHING = ReadingOptions()
"""The default: all that a file has to read."""
