"""Count the mentions that bundles find in a hundred lines of clinic notes that name nothing.

    python benchmarks/lines.py [BUNDLE ...]

The lines were written for this, without knowledge of the frames that models are trained on, and follow no
corpus: vital signs, scores, dates, doses without a drug, beds, staff, plans. A bundle tags, with its default
settings, each line by itself and then all lines as one text. Every mention is false.
The last line is JSON.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from common import parse_bundles
from openmed_ner.bundle.record import provenance
from openmed_ner.inference.tagger import Tagger
from openmed_ner.storage import sha256_file

LINES = Path(__file__).with_suffix(".txt")


def main() -> None:
    text = LINES.read_text(encoding="utf-8")
    lines = text.splitlines()
    systems = []
    for bundle in parse_bundles(__doc__):
        tagger = Tagger.load(bundle)
        print(bundle.manifest.name)
        counts = {"alone": _count(tagger, lines, "alone"), "together": _count(tagger, [text], "together")}
        systems.append({"bundle": bundle.manifest.name, "sha256": bundle.sha256, **counts})

    sizes = {"lines": len(lines), "lines_sha256": sha256_file(LINES)}
    print(json.dumps({"benchmark": "lines", **sizes, **provenance(), "systems": systems}))


def _count(tagger: Tagger, texts: Sequence[str], name: str) -> dict[str, object]:
    """The number of mentions in all and per type; prints them and what they cover."""
    mentions = [(span.label, text[span.start : span.end]) for text in texts for span in tagger(text).spans]
    types = dict(Counter(label for label, _ in mentions).most_common())
    print(f"  {name}: {len(mentions)} false mentions {types}")
    for label, words in mentions:
        print(f"    {label}: {words!r}")
    return {"mentions": len(mentions), "types": types}


if __name__ == "__main__":
    main()
