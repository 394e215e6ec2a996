"""How hostile XML is read: nothing is fetched, no entity is expanded, and depth and size are bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def make_parser(tags: Sequence[str]) -> Any:
    """A pull parser that reports the start and the end of some elements.

    It resolves no entities, loads no DTD, touches no network, and keeps to libxml2's limits.
    """
    from lxml import etree

    return etree.XMLPullParser(
        events=("start", "end"),
        tag=tuple(tags),
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
