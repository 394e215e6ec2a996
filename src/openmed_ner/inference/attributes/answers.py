"""Answers of forms and lists: "Fever: no", "Cough - yes", "Asthma (-)".

An answer ends its field: a line end, a comma, a semicolon, a bar, a tab or a stop follows. What separates it
from the name of the field may be a colon, a bar, a dash, an equals sign or a question mark. A comma, stops, a
tab or a mere blank are ambiguous, since "no" often begins a phrase. They count if the field is one mention,
or if the line before or after ends in an answer, too. In "( ) yes (x) no", the tick decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from openmed_ner.text import Document
from openmed_ner.text.layout import skip_mark

_NO = r"no|none|nil|neg|negative|absent|not present|denied|denies|false|n"
_YES = r"yes|pos|positive|present|true|y"
_TICKED, _EMPTY = r"(?:[(\[][xX✓✔][)\]]|[☒☑])[ \t]*", r"(?:[(\[] ?[)\]]|☐)[ \t]*"
_AND = r"[ \t,/|]*"
_ANSWER = re.compile(
    rf"[ \t]*:?[ \t]*(?:(?P<ticked_no>{_EMPTY}yes{_AND}{_TICKED}no|{_TICKED}no{_AND}{_EMPTY}yes)"
    rf"|(?:{_EMPTY}no{_AND}{_TICKED}yes|{_TICKED}yes{_AND}{_EMPTY}no))(?!\w)"
    rf"|(?:(?P<strong>[ \t]*(?:[:=|?]|[-–—](?=[ \t]))[ \t]*)|(?P<weak>(?:\.{{2,}}|…+)[ \t]*|[.,]?[ \t]+))"
    rf"(?:(?P<no>{_NO})|(?P<yes>{_YES}))(?=[ \t]*(?:[,;.|\t\r\n]|$))"
    rf"|[ \t]*[(\[](?:(?P<minus>[-–—]|{_NO})|(?P<plus>\+|{_YES}))[)\]]",
    re.IGNORECASE,
)
_FIELD_END = re.compile(r"[\n\r;,|\t]")
_FIELD_START = re.compile(r"[\n\r;,|\t]|(?<=[a-z)\]][a-z)\]][.!?])[ \t]+(?=[A-Z])(?!A(?:nswer)?:)")
"""What parts a field from the text before it; a new sentence begins one, which "St. Anthony" does not."""
_LINE_END = re.compile(r"[\n\r]")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and its field.

    Attributes:
        field: first character of the field.
        start: first character after the field's name.
        end: one past the last character of the answer.
        negative: true for a denial.
    """

    field: int
    start: int
    end: int
    negative: bool


def find_answers(document: Document) -> list[Answer]:
    """Find the answers of a text, in order."""
    text = document.text
    mentions = {(span.start, span.end) for span in document.spans}
    candidates = list(_iter_candidates(text))
    neighbours = {
        number
        for number, (first, second) in enumerate(pairwise(candidates))
        if _ends_line(text, first[0])
        and len(_LINE_END.findall(text[first[0].end : second[0].start])) in (1, 2)
    }
    return [
        answer
        for number, (answer, is_strong) in enumerate(candidates)
        if is_strong
        or (skip_mark(text, answer.field, answer.start), answer.start) in mentions
        or number in neighbours
        or number - 1 in neighbours
    ]


def _iter_candidates(text: str) -> Iterator[tuple[Answer, bool]]:
    """Yield everything that may be an answer, and whether it must be one."""
    borders = iter([*(match.end() for match in _FIELD_START.finditer(text)), len(text) + 1])
    field, following = 0, next(borders)
    for match in _ANSWER.finditer(text):
        while following <= match.start():
            field, following = following, next(borders)
        # An answer may hold a bar or a tab of its own, before which its field begins.
        if text[field : match.start()].strip():
            negative = bool(match["no"] or match["minus"] or match["ticked_no"])
            yield Answer(field, match.start(), match.end(), negative), match["weak"] is None
        field = max(field, match.end())


def _ends_line(text: str, answer: Answer) -> bool:
    end = _FIELD_END.search(text, answer.end)
    return end is None or _LINE_END.match(end[0]) is not None
