"""Layouts of clinical text, as edits of flowing text: wrapped lines, lists, headings."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

from openmed_ner.text.sentences import iter_sentences
from openmed_ner.training.augmentation.edits import Edit

_HEADINGS = """
HISTORY OF PRESENT ILLNESS|Past Medical History|PMH|Assessment|ASSESSMENT AND PLAN|Plan|Impression|
FINDINGS|Hospital Course|Discharge Summary|Medications|Comments|Clinical Information|Background|
Follow-up|Reason for visit
"""
HEADINGS = tuple(_HEADINGS.replace("\n", "").split("|"))
_MARKERS = ("- ", "* ", "• ", "{}. ", "{}) ", "")
_BLANK = re.compile(r"(?<=\S) (?=\S)")


def wrap_lines(text: str, draws: random.Random) -> Iterator[Edit]:
    """Break lines at a width of 50 to 100 characters."""
    width, start, last = draws.randint(50, 100), 0, -1
    for blank in _BLANK.finditer(text):
        if blank.start() - start > width and last > start:
            yield Edit(last, last + 1, "\n")
            start = last + 1
        last = blank.start()


def list_sentences(text: str, draws: random.Random) -> Iterator[Edit]:
    """Make each sentence an item of a list, often without its full stop."""
    marker, drop_stop = draws.choice(_MARKERS), draws.random() < 0.5
    for number, (start, end) in enumerate(iter_sentences(text), 1):
        mark = marker.format(number)
        if start == 0:
            yield Edit(0, 0, mark)
        closed = start + len(text[start:end].rstrip())
        if drop_stop and text[closed - 1 : closed] == ".":
            yield Edit(closed - 1, closed, "")
        if end < len(text):
            yield Edit(closed, end, "\n" + marker.format(number + 1))


def add_headings(text: str, draws: random.Random) -> Iterator[Edit]:
    """Put headings before the first sentence and some others."""
    for start, end in iter_sentences(text):
        heading, line_end = draws.choice(HEADINGS), draws.choice((": ", ":\n", "\n"))
        if start == 0:
            yield Edit(0, 0, heading + line_end)
        # Sections of notes have a few sentences each.
        if end < len(text) and draws.random() < 0.2:
            closed = start + len(text[start:end].rstrip())
            yield Edit(closed, end, f"\n\n{draws.choice(HEADINGS)}{line_end}")


Layout = Callable[[str, random.Random], Iterator[Edit]]
LAYOUTS: tuple[Layout, ...] = (wrap_lines, list_sentences, add_headings)
