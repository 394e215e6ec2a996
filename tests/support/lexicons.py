"""Look names up in a lexicon the slow way."""

from __future__ import annotations

import numpy as np

from openmed_ner.terminologies import Lexicon
from openmed_ner.terminologies.hashing import hash_keys
from openmed_ner.terminologies.lexicon import split_hashes


def look_up(lexicon: Lexicon, key: str) -> int:
    """Senses of a key, by a search through its bucket; 0 if it is not there."""
    buckets, residuals = split_hashes(hash_keys([key]), lexicon.bits)
    end = int(np.cumsum(lexicon.counts, dtype=np.int64)[buckets[0]])
    bucket = range(end - int(lexicon.counts[buckets[0]]), end)
    return sum(int(lexicon.senses[place]) for place in bucket if lexicon.residuals[place] == residuals[0])
