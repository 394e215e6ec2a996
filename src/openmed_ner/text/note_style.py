"""Tell by a text alone whether it reads like a note of a clinic.

Five kinds of signs count: headings of notes, short forms that notes use, orders of drugs, vital signs, and
marks of a record about one person. Each sign counts once, however often it is there. Articles name doses and
blood pressures, too, so one kind alone decides nothing.
"""

from __future__ import annotations

import re

MOST = 20_000
"""Characters of a text that are read, so that a long one costs no more."""
_LEAST_SIGNS, _LEAST_KINDS = 3, 2

_HEADINGS = (
    "chief complaint|cc|hpi|history of (?:the )?present illness|"
    "(?:past )?(?:medical|surgical|family|social) (?:history|hx)|pmhx?|pshx?|fhx?|shx?|soc|"
    "review of systems|ros|physical exam(?:ination)?|exam|vitals?(?: signs)?|vs|"
    "(?:drug )?allergies|all|(?:current |home |discharge )?med(?:ication)?s|labs?|ekg|cxr|"
    "clinical information|comparison|technique|impression|assessment(?: and plan)?|a/p|plan|"
    "hospital course|(?:admission |discharge |principal |final )?diagnos[ei]s|problem list|"
    "condition|disposition|dispo|follow-?up"
)
_SIGNS = {
    "heading": (
        re.compile(rf"^[ \t\-*•#\d.]*({_HEADINGS})[ \t]*(?::|$)", re.IGNORECASE | re.MULTILINE),
        # Notes without line ends have headings in capitals.
        re.compile(
            r"\b(CHIEF COMPLAINT|HISTORY OF PRESENT ILLNESS|REVIEW OF SYSTEMS|PHYSICAL EXAM(?:INATION)?|"
            r"PAST MEDICAL HISTORY|SOCIAL HISTORY|FAMILY HISTORY|MEDICATIONS|ALLERGIES|VITALS|"
            r"ASSESSMENT AND PLAN)\b"
        ),
    ),
    "short form": (
        re.compile(
            r"(?<![\w/])([cdhr]/o|[sdo]/p|[ymf]/o|w/o?|f/u|d/c|[bn]/[lv]|c/[bw]|[pa]/w|2/2)(?![\w/])",
            re.IGNORECASE,
        ),
        re.compile(
            r"\b(pt|hx|pmh|fhx|dx|rx|sx|yo|prn|bid|tid|qid|qhs|nkda|ctab|perrla|neg)\b", re.IGNORECASE
        ),
    ),
    "order": (
        re.compile(
            r"\d ?(?:mg|mcg|g|ml|units?|u|tabs?|puffs?)[ |,]+(?:[a-z]{1,4}[ |,]+)?"
            r"(po|iv|im|sc|sl|od|bid|tid|qid|daily|qd|qod|nightly|q ?\d+ ?h|qhs|qam|prn)\b",
            re.IGNORECASE,
        ),
    ),
    "vital sign": (
        re.compile(r"\b(bp|hr|rr|t(?:emp|max)|spo2|o2 sat|bpm|wt)[ :]{1,2}(?:of )?\d{2,3}\b", re.IGNORECASE),
    ),
    "person": (
        re.compile(r"\b(MRN|DOB|(?:Mrs?|Ms|Dr)\b\.?(?= [A-Z])|[Dd]enie[sd])(?![\w+])|(\[\*\*|___)"),
        re.compile(r"\b(?:the patient|he|she|pt) (reports|endorses|states)\b", re.IGNORECASE),
    ),
}
"""Patterns of each kind of sign, whose group is the sign."""


def is_note_like(text: str) -> bool:
    """True if a text has three signs of a clinic note, of two kinds or more."""
    text = text[:MOST]
    signs = {
        (kind, "".join(filter(None, match.groups())).lower())
        for kind, patterns in _SIGNS.items()
        for pattern in patterns
        for match in pattern.finditer(text)
    }
    return len(signs) >= _LEAST_SIGNS and len({kind for kind, _ in signs}) >= _LEAST_KINDS
