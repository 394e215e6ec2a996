"""Ask a model for common terms in plain sentences, which were written for this and follow no corpus.

    python benchmarks/plain_sentences.py [BUNDLE ...]

Each term stands in three sentences. It is right if the default result has one entity there with exactly these
boundaries and this type, and no other entity overlaps it. The last line is JSON.
"""

from __future__ import annotations

import json

from common import parse_bundles
from openmed_ner.bundle.record import provenance
from openmed_ner.inference.tagger import Tagger

SENTENCES = {
    ("asthma", "Disease"): (
        "She has had asthma since childhood.",
        "Asthma is treated with inhaled steroids.",
        "His father died of asthma.",
    ),
    ("COVID-19", "Disease"): (
        "He was admitted with COVID-19.",
        "COVID-19 spread quickly in 2020.",
        "Most patients recovered from COVID-19 at home.",
    ),
    ("gout", "Disease"): (
        "He takes allopurinol for gout.",
        "Gout is painful.",
        "Her gout came back in spring.",
    ),
    ("CKD", "Disease"): (
        "History of CKD, on dialysis.",
        "Patients with CKD were excluded.",
        "CKD stage 3 since 2015.",
    ),
    ("HTN", "Disease"): (
        "PMH: HTN, on lisinopril.",
        "He has HTN and takes two drugs.",
        "HTN was well controlled.",
    ),
    ("T2DM", "Disease"): (
        "She was diagnosed with T2DM last year.",
        "T2DM is treated with metformin.",
        "Known T2DM, diet controlled.",
    ),
    ("remdesivir", "Chemical"): (
        "She was given remdesivir for five days.",
        "Remdesivir shortened the stay in hospital.",
        "Treatment with remdesivir was stopped.",
    ),
    ("EGFR", "Gene"): (
        "EGFR was mutated in half of the tumours.",
        "The tumour expressed EGFR.",
        "Cells without EGFR did not grow.",
    ),
    ("L858R", "Variant"): (
        "EGFR L858R was found.",
        "The L858R mutation confers sensitivity to gefitinib.",
        "Patients with L858R responded.",
    ),
    ("zebrafish", "Species"): (
        "We raised zebrafish in tanks.",
        "Zebrafish larvae were imaged.",
        "The gene is also found in zebrafish.",
    ),
    ("HeLa", "CellLine"): (
        "HeLa cells were transfected.",
        "We used HeLa and grew them overnight.",
        "The protein was expressed in HeLa cells.",
    ),
    ("liver", "Anatomy"): (
        "The liver was enlarged.",
        "Samples of liver were frozen.",
        "It is metabolised in the liver.",
    ),
}


def main() -> None:
    systems = []
    for bundle in parse_bundles(__doc__):
        tagger = Tagger.load(bundle)
        rows = [_ask(tagger, term, label, texts) for (term, label), texts in SENTENCES.items()]
        n_right, n_sentences = (sum(row[key] for row in rows) for key in ("right", "sentences"))
        print(f"{bundle.manifest.name}: {n_right} of {n_sentences}")
        systems.append({"bundle": bundle.manifest.name, "sha256": bundle.sha256, "terms": rows})
    print(json.dumps({**provenance(), "systems": systems}))


def _ask(tagger: Tagger, term: str, label: str, texts: tuple[str, ...]) -> dict[str, object]:
    n_right, answers = 0, []
    for text in texts:
        start = text.lower().index(term.lower())
        end = start + len(term)
        entities = [span for span in tagger(text).spans if span.start < end and span.end > start]
        n_right += [span.key for span in entities] == [(start, end, label)]
        answers.append("; ".join(f"{span.label} {text[span.start : span.end]}" for span in entities))
    print(f"  {term} ({label}): {n_right} of {len(texts)}; {answers}")
    return {"term": term, "label": label, "right": n_right, "sentences": len(texts), "answers": answers}


if __name__ == "__main__":
    main()
