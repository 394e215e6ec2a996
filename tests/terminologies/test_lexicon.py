from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexicons import look_up
from openmed_ner.errors import InputError
from openmed_ner.terminologies import AMBIGUOUS, CERTAIN, TYPES, Lexicon
from openmed_ner.terminologies.hashing import combine, hash_keys

keys = st.text("abc ", min_size=1, max_size=8).map(lambda key: " ".join(key.split()) or "a")
strengths = st.dictionaries(keys, st.sampled_from([AMBIGUOUS, CERTAIN]), max_size=30)
typed_names = st.dictionaries(st.sampled_from(TYPES), strengths, max_size=len(TYPES))


@given(typed_names)
def test_a_lexicon_holds_the_senses_of_its_names(names: dict[str, dict[str, int]]) -> None:
    lexicon = Lexicon.compile(names)
    everything = {key for known in names.values() for key in known}
    assert len(lexicon) == len(everything)
    for key in everything:
        senses = sum(names.get(label, {}).get(key, 0) << 2 * column for column, label in enumerate(TYPES))
        assert look_up(lexicon, key) == senses
    assert look_up(lexicon, "zzz") == 0


@given(typed_names)
def test_a_lexicon_reads_back(names: dict[str, dict[str, int]]) -> None:
    lexicon = Lexicon.compile(names)
    content = lexicon.to_bytes()
    again = Lexicon.from_bytes(content, "lexicon.npy")
    assert again.to_bytes() == content
    for name in ("counts", "residuals", "senses"):
        assert np.array_equal(getattr(again, name), getattr(lexicon, name))


def test_a_damaged_lexicon_is_refused() -> None:
    content = Lexicon.compile({"Disease": {"asthma": CERTAIN, "gout": CERTAIN}}).to_bytes()
    for damaged in (b"", content[:-1], content[: len(content) // 2], b"x" + content[1:], content[128 + 8 :]):
        with pytest.raises(InputError, match=r"lexicon\.npy"):
            Lexicon.from_bytes(damaged, "lexicon.npy")


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=4), max_size=4))
def test_the_hash_of_a_sequence_follows_from_its_parts(parts: list[list[int]]) -> None:
    value = 0
    for part in parts:
        own, power = combine(part)
        value = (value * power + own) % 2**64
    assert value == combine([number for part in parts for number in part])[0]


def test_equal_pieces_in_another_order_have_another_number() -> None:
    hashes = hash_keys(["a b c d", "a b d c", "b a c d", "d c b a", "=a", "a", "a a", "a a a"])
    assert len(set(hashes.tolist())) == len(hashes)
