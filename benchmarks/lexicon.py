"""Time the matching of a compiled lexicon, and measure the memory it needs.

    python benchmarks/lexicon.py COMPILED [--data FILE]

The words of all texts are cut beforehand. A round matches every text once, in one thread. The first round
meets each word for the first time, so it is given apart. Times are those of the processor, scaled to 250
words. The last line is JSON.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import median

from common import load_texts, make_parser, peak_megabytes
from openmed_ner.bundle.record import provenance
from openmed_ner.terminologies import Matcher, open_lexicon, read_words

ROUNDS = 9
WORDS = 250


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("compiled", type=Path, help="folder of compiled terminologies")
    parser.add_argument("--data", type=Path, help="file of documents (default: the example abstracts)")
    arguments = parser.parse_args()

    texts = [read_words(text)[1:] for text in load_texts(arguments.data)]
    n_words = sum(len(words) for words, _ in texts)
    lexicon, _ = open_lexicon(arguments.compiled)
    begin = time.process_time()
    matcher = Matcher(lexicon)
    seconds_to_prepare = time.process_time() - begin

    rounds = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        for words, spaced in texts:
            matcher.tag(words, spaced)
        rounds.append((time.process_time() - begin) / n_words * WORDS * 1000)
    row = {
        "names": len(lexicon),
        "texts": len(texts),
        "words": n_words,
        "milliseconds": median(rounds[1:]),
        "milliseconds_fastest": min(rounds[1:]),
        "milliseconds_first": rounds[0],
        "seconds_to_prepare": seconds_to_prepare,
        "megabytes": matcher.n_bytes / 1e6,
        "peak_megabytes": peak_megabytes(),
    }
    for name, value in row.items():
        print(f"{name}: {value:,.3f}" if isinstance(value, float) else f"{name}: {value:,}")
    print(json.dumps({**provenance(), "lexicon": row}))


if __name__ == "__main__":
    main()
