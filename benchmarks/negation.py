"""Score negation and family history on texts that were written for this: sentences, lists and forms.

    python benchmarks/negation.py

The texts follow no corpus. They were scored once for ``results/``, and no rule was changed for that. Rules
that came later, such as "without doubt", were known to be among the errors. Mentions are in brackets, with a
sign before those that a reader would call denied (``-``) or about a relative (``@``). The mentions are given,
so no model is needed. A mention is positive if it has the attribute. The last line is JSON.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from openmed_ner.bundle.record import provenance
from openmed_ner.inference.attributes import add_attributes
from openmed_ner.text import Document, Span

TEXTS = {
    "sentences": (
        "He has no [-fever] and no [-cough].",
        "The patient denies [-chest pain] but reports [nausea].",
        "She denies [-vomiting], [-diarrhoea] and [-abdominal pain].",
        "No evidence of [-pulmonary embolism] on the scan.",
        "There was no sign of [-infection].",
        "The wound is clean, without [-erythema] or [-discharge].",
        "He came with [dyspnoea]. No [-oedema] was seen.",
        "[-Pneumonia] was ruled out.",
        "[-Meningitis] is unlikely.",
        "The scan was negative for [-metastases].",
        "Tests for [-hepatitis B] were negative.",
        "She never had [-asthma].",
        "He has [asthma], which does not limit him.",
        "Her [hypertension] is not controlled.",
        "The [rash] has not changed.",
        "There is no change in the [tumour].",
        "Not only [anaemia] but also [thrombocytopenia] was found.",
        "He did not tolerate metformin because of [diarrhoea].",
        "He could not walk because of [arthritis].",
        "[Headache] since Monday, no [-neck stiffness], no [-photophobia].",
        "Neither [-jaundice] nor [-ascites] was present.",
        "Absence of [-lymphadenopathy].",
        "The patient is afebrile and free of [-pain].",
        "We found [cirrhosis] without [-splenomegaly].",
        "The cause of the [anaemia] is not known.",
        "He has no known [-allergies] and takes aspirin for [stroke] prevention.",
        "No further work-up of the [angina] is planned.",
        "Without doubt this is [sarcoidosis].",
        "[Sepsis] can not be excluded.",
        "She stopped smoking and has had no [-exacerbation] of her [COPD] since.",
        "No [-seizures] since the start of levetiracetam for [epilepsy].",
        "The biopsy showed no [-malignancy]; it showed [gastritis].",
        "[Fatigue] is present, whereas [-fever] is absent.",
        "There were no complaints other than [back pain].",
        "He declined vaccination against [influenza].",
        "X-ray: no [-fracture], [osteoporosis].",
    ),
    "forms": (
        "Fever: no\nCough: yes\n[-Nausea]: no\n[Vomiting]: yes",
        "[-Asthma]: No\n[Diabetes]: Yes\n[-Epilepsy]: No",
        "[Hypertension] - yes\n[-Stroke] - no\n[-Angina] - no",
        "[-Gout] | No\n[Psoriasis] | Yes",
        "[-Hepatitis] (-)\n[Anaemia] (+)\n[-Tuberculosis] (-)",
        "[-Sepsis]: negative\n[Pneumonia]: positive",
        "[-Jaundice]: absent\n[Oedema]: present",
        "[Migraine] yes\n[-Epilepsy] no\n[-Stroke] no",
        "[-Malaria]: none",
        "[Cataract]: unknown\n[-Glaucoma]: denied",
        "[Fever]: yes, since Monday\n[-Rash]: no, never",
        "[-Chest pain]: N\n[Dyspnoea]: Y",
    ),
    "lists": (
        "No [-fever]\n[Cough]\n[Asthma]",
        "Denies [-smoking]\n[Diabetes mellitus]\n[Hypertension]",
        "- no [-fever]\n- [cough]\n- no [-rash]",
        "1. [Heart failure]\n2. No [-arrhythmia]\n3. [Renal failure]",
        "* [Sepsis], resolved\n* no [-shock]",
        "Patient has no\n[-fever] and [-chills].\n[Cough] for two days.",
        "PMH: [asthma], [gout]. Allergies: none. No [-diabetes].",
        "Problems:\n[Obesity]\n[Depression]\nno [-suicidality]",
    ),
    "family": (
        "His mother had [@breast cancer].",
        "Family history of [@diabetes] and [@stroke].",
        "Her father died of [@myocardial infarction]. She has [hypertension].",
        "The patient has [asthma]; his sister has [@eczema].",
        "A brother with [@schizophrenia].",
        "She lives with her mother and has [arthritis].",
        "Maternal grandmother: [@ovarian cancer].",
        "Family history is negative for [@-colon cancer].",
        "Both parents are alive. He has [gout].",
        "Family history:\n[@Huntington's disease]\nMedical history:\n[Migraine]",
    ),
}
_MENTION = re.compile(r"\[([@-]*)([^\]]+)\]")


def parse(text: str) -> tuple[Document, list[set[str]]]:
    """Build a document from a text with marked mentions, and the attributes of each mention."""
    spans: list[Span] = []
    expected: list[set[str]] = []
    plain = ""
    end = 0
    for match in _MENTION.finditer(text):
        plain += text[end : match.start()]
        spans.append(Span(len(plain), len(plain) + len(match[2]), "Disease"))
        expected.append({name for sign, name in (("-", "negated"), ("@", "family")) if sign in match[1]})
        plain += match[2]
        end = match.end()
    return Document("1", plain + text[end:], tuple(spans)), expected


def score(kind: str, attribute: str) -> dict[str, Any]:
    """Count the mentions of a kind of text by their attribute, and list the errors."""
    counts: Counter[str] = Counter()
    errors: list[str] = []
    for text in TEXTS[kind]:
        document, expected = parse(text)
        (marked,) = add_attributes([document], ["context"])
        for span, names in zip(marked.spans, expected, strict=True):
            found, wanted = attribute in dict(span.attributes), attribute in names
            counts["tp"] += found and wanted
            counts["fp"] += found and not wanted
            counts["fn"] += wanted and not found
            counts["tn"] += not (found or wanted)
            if found != wanted:
                errors.append(f"{marked.mention(span)!r} in {marked.text!r}")
    row = {"kind": kind, "attribute": attribute, "texts": len(TEXTS[kind]), **counts, "errors": errors}
    print(describe(row))
    return row


def describe(row: Mapping[str, Any]) -> str:
    """A line for people."""
    numbers = ", ".join(f"{row.get(name, 0)} {name}" for name in ("tp", "fp", "fn", "tn"))
    return "\n  ".join([f"{row['kind']}, {row['attribute']}: {numbers}", *row["errors"]])


def main() -> None:
    rows = [score(kind, "negated") for kind in TEXTS]
    rows.append(score("family", "family"))
    print(json.dumps({"benchmark": "negation", "rows": rows, **provenance()}))


if __name__ == "__main__":
    main()
