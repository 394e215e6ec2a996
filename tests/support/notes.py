"""Made-up discharge notes with two types that the embedded model does not have, Dose and Procedure."""

from __future__ import annotations

import random
from dataclasses import replace

from openmed_ner.text import Document
from sentences import read_marked

DRUGS = ("metformin", "furosemide", "lisinopril", "warfarin", "atorvastatin", "amoxicillin", "prednisone")
UNITS = ("mg", "mcg", "g", "units", "mL")
TIMES = ("daily", "twice daily", "at night", "every 8 hours", "as needed")
PROCEDURES = (
    "colonoscopy",
    "cardiac catheterisation",
    "appendectomy",
    "hip replacement",
    "lumbar puncture",
    "coronary angiography",
    "upper endoscopy",
    "chest tube insertion",
)
SENTENCES = (
    "The patient was started on {drug} [{dose}] {time}.",
    "{drug} was increased to [{dose}] {time} for better control.",
    "He underwent {{{procedure}}} without complications.",
    "A {{{procedure}}} was performed on day {day}.",
    "Discharged on {drug} [{dose}] {time} and {drug} [{dose}].",
    "No {{{procedure}}} is planned, follow-up in {day} weeks.",
    "Vital signs were stable, and the wound was dry on day {day}.",
)
LABELS = {"Chemical": "Dose", "Disease": "Procedure"}
"""Types of the two kinds of brackets, see :func:`sentences.read_marked`."""


def make_notes(n_documents: int, *, seed: int) -> tuple[Document, ...]:
    """Make notes of four sentences; other seeds give other notes."""
    draw = random.Random(seed)

    def fill(sentence: str) -> str:
        while "{drug}" in sentence or "{dose}" in sentence:
            dose = f"{draw.choice((5, 10, 20, 25, 40, 50, 100, 250, 500))} {draw.choice(UNITS)}"
            sentence = sentence.replace("{drug}", draw.choice(DRUGS), 1).replace("{dose}", dose, 1)
        values = {"time": draw.choice(TIMES), "procedure": draw.choice(PROCEDURES), "day": draw.randint(2, 9)}
        return sentence.format(**values)

    notes = []
    for number in range(n_documents):
        text = " ".join(fill(draw.choice(SENTENCES)) for _ in range(4))
        document = read_marked(f"note-{seed}-{number}", text)
        spans = (replace(span, label=LABELS[span.label]) for span in document.spans)
        notes.append(document.with_spans(spans))
    return tuple(notes)
