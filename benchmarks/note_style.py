"""Count the texts that are taken for clinic notes, among notes and among articles.

    OPENMED_NER_CORPORA=DIR python benchmarks/note_style.py [PASSAGES]

The notes are the invented ones of the benchmarks. Articles are the dev splits of all corpora, whose texts
mostly have a line for the title and one for the abstract. PASSAGES is a compressed file of JSON lines with
the fields ``id``, ``source`` and ``text``. The ids of the passages of a document begin alike, up to ``#``.
They are joined by blanks, and counted by source. The last line is JSON.
"""

from __future__ import annotations

import gzip
import json
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from common import make_parser
from openmed_ner.bundle.record import provenance
from openmed_ner.corpora import CATALOG, load_split
from openmed_ner.formats import read_documents
from openmed_ner.text.note_style import is_note_like

NOTES = Path(__file__).with_name("notes.jsonl")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("passages", nargs="?", type=Path)
    path = parser.parse_args().passages

    groups: dict[str, Iterable[str]] = {"notes": [document.text for document in read_documents(NOTES)]}
    groups |= read_passages(path) if path else {}
    for corpus in (name for name, row in CATALOG.items() if "dev" in row.splits):
        groups[corpus] = [document.text for document in load_split(corpus, "dev").documents]

    rows = []
    for name, texts in groups.items():
        began = time.process_time()
        found = [is_note_like(text) for text in texts]
        seconds = time.process_time() - began
        rows.append(
            {"texts": name, "n": len(found), "taken": sum(found), "milliseconds": 1000 * seconds / len(found)}
        )
        print(f"{name}: {sum(found):,} of {len(found):,}, {rows[-1]['milliseconds']:.2f} ms a text")
    print(json.dumps({"benchmark": "note style", **provenance(), "groups": rows}))


def read_passages(path: Path) -> dict[str, list[str]]:
    """Read the documents of a file of passages, by source."""
    documents: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            documents[record["source"]][record["id"].partition("#")[0]].append(record["text"])
    return {source: [" ".join(parts) for parts in texts.values()] for source, texts in documents.items()}


if __name__ == "__main__":
    main()
