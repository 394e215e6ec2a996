"""Measure whether mentions end at the items of lists, and stay whole where a line is wrapped.

    OPENMED_NER_CORPORA=DIR python benchmarks/line_breaks.py [BUNDLE] [--documents 6] [--seed 2]

The texts are made of dev splits that the embedded model has not learnt, by the same words with other white
space. So what a model finds without line ends is what it would find if no line end ended a mention.

Wrapped text counts the gold mentions with a line end that are found without it, and the share that stays
whole. ``wide`` are documents wrapped at 60 to 80 columns, ``narrow`` at 22 to 38, and ``alone`` are mentions
without other text, on two lines. Lists have three to eight gold mentions of one type and corpus, one a line.
They count the neighbouring lines, and the share that no mention joins. ``cased`` keep the letters of the
corpus, ``lower`` have small letters, and ``mixed`` have both and other short lines between.

Every share is given for the default result, and for all heads, each with a layer of its own. The last line
is JSON.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from common import make_parser
from openmed_ner.bundle import open_bundle
from openmed_ner.bundle.record import describe_bundle
from openmed_ner.corpora import load_split
from openmed_ner.inference.selection import SpanSelection
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.text import Document, Span

CORPORA = ("fsu", "nlm-gene", "gnormplus", "biored", "tmvar3", "bioid", "maccrobat")
COLUMNS = {"wide": (60, 80), "narrow": (22, 38)}
ITEMS = (3, 8)
LONGEST_DOCUMENT = 6000
LONGEST_ITEM = 60
LONGEST_OTHER = 40
"""Characters of the longest texts, items and other lines that are used."""
OTHERS = Path(__file__).with_name("lines.txt").read_text(encoding="utf-8").splitlines()
VIEWS = ("default", "all heads")


class Sample(NamedTuple):
    """A text with line ends, and the gold mentions that these part; a list has none."""

    kind: str
    text: str
    parted: Sequence[tuple[int, int]] = ()


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("bundle", nargs="?", type=Path, default=embedded_bundle(), help="folder of a bundle")
    parser.add_argument("--documents", type=int, default=6, help="documents of each corpus")
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()

    bundle = open_bundle(arguments.bundle)
    tagger = Tagger.load(bundle, threads=1)
    rng = Random(arguments.seed)
    samples = [sample for corpus in CORPORA for sample in make_samples(corpus, arguments.documents, rng)]
    counts = count(tagger, samples)
    shares = {}
    for kind in dict.fromkeys(sample.kind for sample in samples):
        shares[kind] = {view: dict(counts[kind, view]) for view in VIEWS}
        text = (
            f"{view} {right / max(n, 1):.1%} of {n}"
            for view in VIEWS
            for right, n in [tally(counts[kind, view])]
        )
        print(f"{kind}: {', '.join(text)}")
    settings = {"documents": arguments.documents, "seed": arguments.seed, "corpora": CORPORA}
    print(json.dumps({"benchmark": "line breaks", **settings, **describe_bundle(bundle), "counts": shares}))


def tally(counts: Counter[str]) -> tuple[int, int]:
    """The number of right decisions, and of all."""
    return counts["right"], counts["right"] + counts["wrong"]


def make_samples(corpus: str, n_documents: int, rng: Random) -> Iterator[Sample]:
    """Make the texts of one corpus."""
    documents = [
        document for document in load_split(corpus, "dev").documents if len(document.text) < LONGEST_DOCUMENT
    ]
    rng.shuffle(documents)
    for document in documents[:n_documents]:
        for kind, columns in COLUMNS.items():
            yield wrap(kind, document, rng.randint(*columns))

    names: dict[str, set[str]] = defaultdict(set)
    for document in documents[: 4 * n_documents]:
        for span in document.spans:
            name = document.mention(span)
            if "\n" not in name and len(name) < LONGEST_ITEM:
                names[span.label].add(name)
    types = [sorted(items) for _, items in sorted(names.items()) if len(items) > ITEMS[1]]
    for items in types:
        long = [name for name in items if " " in name]
        for name in rng.sample(long, min(len(long), 1 + 2 * n_documents // len(types))):
            place = rng.choice([index for index, letter in enumerate(name) if letter == " "])
            yield Sample("alone", f"{name[:place]}\n{name[place + 1 :]}", [(0, len(name))])
        for _ in range(1 + 3 * n_documents // len(types)):
            yield from make_lists(rng.sample(items, rng.randint(*ITEMS)), rng)


def wrap(kind: str, document: Document, width: int) -> Sample:
    """Wrap the lines of a document: blanks become line ends, so no place moves."""
    lines = []
    for line in document.text.split("\n"):
        wrapped = textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
        lines.append("\n".join(wrapped) if len(" ".join(wrapped)) == len(line) else line)
    text = "\n".join(lines)
    places = sorted({(span.start, span.end) for span in document.spans})
    return Sample(kind, text, [place for place in places if "\n" in text[slice(*place)]])


def make_lists(items: Sequence[str], rng: Random) -> Iterator[Sample]:
    """Make the lists of some items."""
    yield Sample("cased", "\n".join(items))
    yield Sample("lower", "\n".join(items).lower())
    others = [line for line in OTHERS if len(line) < LONGEST_OTHER]
    lines = []
    for item in items:
        lines.append(rng.choice([item, item.lower()]))
        lines += [rng.choice(others)] * (rng.random() < 0.4)
    yield Sample("mixed", "\n".join(lines))


def count(tagger: Tagger, samples: Sequence[Sample]) -> dict[tuple[str, str], Counter[str]]:
    """Count the right and wrong decisions of each kind of text and view of the result."""
    merged = SpanSelection.make(tagger.manifest, None, tagger.main_types, layers=False, threshold=0.0)
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    def tag(texts: Sequence[str]) -> Iterator[dict[str, Sequence[Span]]]:
        for document in tagger.pipe(texts, layers=True, document_decoding=False):
            yield dict(zip(VIEWS, (merged.keep(document.spans), document.spans), strict=True))

    wrapped = [sample for sample in samples if sample.parted]
    whole = tag([sample.text.replace("\n", " ") for sample in wrapped])
    for sample, parted, joined in zip(wrapped, tag([sample.text for sample in wrapped]), whole, strict=True):
        for view in VIEWS:
            kept = {(span.start, span.end, span.label, span.corpus) for span in parted[view]}
            for span in joined[view]:
                if (span.start, span.end) in sample.parted:
                    is_whole = (span.start, span.end, span.label, span.corpus) in kept
                    counts[sample.kind, view]["right" if is_whole else "wrong"] += 1

    lists = [sample for sample in samples if sample.kind in ("cased", "lower", "mixed")]
    for sample, result in zip(lists, tag([sample.text for sample in lists]), strict=True):
        for place in (index for index, letter in enumerate(sample.text) if letter == "\n"):
            for view in VIEWS:
                is_joined = any(span.start < place < span.end for span in result[view])
                counts[sample.kind, view]["wrong" if is_joined else "right"] += 1
    return counts


if __name__ == "__main__":
    main()
