"""Answers of forms and lists: "Fever: no", "Cough - yes", "Asthma (-)".

An answer ends its field: a line end, a comma, a semicolon, a bar, a tab or a stop follows. What separates it
from the name of the field may be a colon, a bar, a dash, an equals sign or a question mark. A comma, stops, a
tab or a mere blank are ambiguous, since "no" often begins a phrase. They count if the field is one mention,
or if the line before or after ends in an answer, too. In "( ) yes (x) no", the tick decides.

Signs answer as well: "Fever: -", "Asthma: +". An empty box denies the field before it, unless a box begins
the line. A ticked one affirms what stands there, which may be "No fever [x]", so it only ends its field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from openmed_ner.text import Document
from openmed_ner.text.layout import skip_mark

_NO = r"no|none|nil|neg|negative|absent|not present|denied|denies|false|n|[-−–]ve"
_YES = r"yes|pos|positive|present|true|y|\+ve"
_TICKED = r"(?:[(\[] ?[xX✓✔] ?[)\]]|[☒☑✅])[ \t]*"
_EMPTY = r"(?:[(\[](?: {0,3}|_)[)\]]|[☐□◻❏])[ \t]*"
_AND = r"[ \t,/|]*"
_ANSWER = re.compile(
    rf"[ \t]*:?[ \t]*(?:(?P<ticked_no>{_EMPTY}yes{_AND}{_TICKED}no|{_TICKED}no{_AND}{_EMPTY}yes)"
    rf"|(?:{_EMPTY}no{_AND}{_TICKED}yes|{_TICKED}yes{_AND}{_EMPTY}no))(?!\w)"
    rf"|(?:(?P<strong>[ \t]*(?:[:=|?]|[-–—](?=[ \t]))[ \t]*)|(?P<weak>(?:\.{{2,}}|…+)[ \t]*|[.,]?[ \t]+))"
    rf"(?:(?P<no>{_NO})|(?P<yes>{_YES}))(?=[ \t]*(?:[,;.|\t\r\n]|$))"
    rf"|[ \t]*[:=?][ \t]*(?:(?P<sign_no>[-–—−]{{1,3}}|[✗✘❌])|(?:\+{{1,4}}|[✓✔]))(?=[ \t]*(?:[,;.|\t\r\n]|$))"
    rf"|[ \t]*[:=?]?[ \t]*(?:(?P<empty>{_EMPTY})|(?P<ticked>{_TICKED}))(?=[,;.|\t\r\n]|$|(?-i:[A-Z]))"
    rf"|[ \t]*[(\[](?:(?P<minus>[-–—]|{_NO})|(?P<plus>\+|{_YES}))[)\]]",
    re.IGNORECASE,
)
_NEGATIVE = ("no", "minus", "ticked_no", "sign_no", "empty")
"""Groups of denials."""
_FIELD_END = re.compile(r"[\n\r;,|\t]")
_FIELD_START = re.compile(r"[\n\r;,|\t]|(?<=[a-z)\]][a-z)\]][.!?])[ \t]+(?=[A-Z])(?!A(?:nswer)?:)")
"""What parts a field from the text before it; a new sentence begins one, which "St. Anthony" does not."""
_LINE_END = re.compile(r"[\n\r]")
_MAX_LINE = 1000
_BOX_FIRST = re.compile(rf"[ \t]*(?:[-*•][ \t]+)?(?:{_EMPTY}|{_TICKED})")


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
        is_box = match["empty"] or match["ticked"]
        if is_box and _BOX_FIRST.match(text, _find_line(text, match.start())):
            continue  # the boxes of this line stand before their names
        if match["ticked"]:
            field = max(field, match.end())
            continue
        # An answer may hold a bar or a tab of its own, before which its field begins.
        if text[field : match.start()].strip():
            negative = any(match[name] for name in _NEGATIVE)
            yield Answer(field, match.start(), match.end(), negative), match["weak"] is None
        field = max(field, match.end())


def _find_line(text: str, place: int) -> int:
    """Return the start of the line of a place, or of its last characters if it is very long."""
    first = max(place - _MAX_LINE, 0)
    return max(text.rfind("\n", first, place), text.rfind("\r", first, place), first - 1) + 1


def _ends_line(text: str, answer: Answer) -> bool:
    end = _FIELD_END.search(text, answer.end)
    return end is None or _LINE_END.match(end[0]) is not None
