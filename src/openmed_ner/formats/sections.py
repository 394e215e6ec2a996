"""Sections of articles, apart from their reader, which a command that names the sections need not import."""

from __future__ import annotations

from typing import Literal, get_args

Section = Literal[
    "title",
    "abstract",
    "introduction",
    "methods",
    "results",
    "discussion",
    "conclusions",
    "figures",
    "tables",
    "back",
    "other",
]
SECTIONS: tuple[Section, ...] = get_args(Section)
"""Sections of an article, in the order in which they usually come."""
