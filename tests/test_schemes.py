from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, IOBES, Entities

from openmed_ner.text import TagScheme
from openmed_ner.text.schemes import DecodeMode, Entity, split_tag
from strategies import LABELS, entities, random_tags

N_ORACLE = 4000
both = pytest.mark.parametrize("scheme", TagScheme)
lengths_and_entities = st.integers(0, 15).flatmap(lambda n: st.tuples(st.just(n), entities(n)))


@both
@pytest.mark.parametrize("mode", ["strict", "conlleval"])
@given(case=lengths_and_entities)
def test_decoding_inverts_encoding(
    scheme: TagScheme, mode: DecodeMode, case: tuple[int, list[Entity]]
) -> None:
    n_words, expected = case
    tags = scheme.encode(n_words, expected)
    assert len(tags) == n_words
    assert set(tags) <= set(scheme.tags(LABELS))
    assert scheme.decode(tags, mode=mode) == expected


@both
def test_strict_decoding_agrees_with_seqeval(scheme: TagScheme) -> None:
    sequences = random_tags(scheme, N_ORACLE)
    oracle = Entities(sequences, {TagScheme.IOB2: IOB2, TagScheme.IOBES: IOBES}[scheme]).entities
    expected = [[(entity.start, entity.end, entity.tag) for entity in found] for found in oracle]
    assert [scheme.decode(tags, mode="strict") for tags in sequences] == expected


@both
def test_conlleval_decoding_agrees_with_lenient_seqeval(scheme: TagScheme) -> None:
    for tags in random_tags(scheme, N_ORACLE):
        expected = [(first, last + 1, label) for label, first, last in get_entities(tags)]
        assert scheme.decode(tags, mode="conlleval") == expected


@both
def test_conlleval_finds_all_that_strict_finds_and_more(scheme: TagScheme) -> None:
    pairs = [
        (set(scheme.decode(tags)), set(scheme.decode(tags, mode="conlleval")))
        for tags in random_tags(scheme, N_ORACLE)
    ]
    assert all(strict <= lenient for strict, lenient in pairs)
    assert any(strict < lenient for strict, lenient in pairs)


@both
@pytest.mark.parametrize("n_words", [1, 2, 3, 4])
def test_a_sequence_is_well_formed_if_each_tag_may_follow_the_one_before(
    scheme: TagScheme, n_words: int
) -> None:
    for tags in product(scheme.tags(LABELS), repeat=n_words):
        unchanged = scheme.encode(n_words, scheme.decode(tags)) == list(tags)
        assert unchanged == all(scheme.may_follow(*pair) for pair in pairwise([None, *tags, None])), tags


@both
def test_tags_are_distinct_and_begin_with_outside(scheme: TagScheme) -> None:
    tags = scheme.tags(LABELS)
    assert tags[0] == "O"
    assert len(set(tags)) == len(tags) == 1 + len(LABELS) * len(scheme.positions)


@given(label=st.text(min_size=1))
def test_a_label_may_hold_any_characters(label: str) -> None:
    assert split_tag(f"B-{label}") == ("B", label)
    assert TagScheme.IOB2.decode([f"B-{label}", f"I-{label}"]) == [(0, 2, label)]


@pytest.mark.parametrize(
    "tag", ["", "B", "B-", "-Disease", "BI-Disease", "X-Disease", "b-Disease", "O-Disease"]
)
def test_a_malformed_tag_is_named(tag: str) -> None:
    with pytest.raises(ValueError, match=repr(tag)):
        TagScheme.IOBES.decode(["O", tag])


@pytest.mark.parametrize("tag", ["E-Disease", "S-Disease"])
def test_iob2_knows_no_end_positions(tag: str) -> None:
    with pytest.raises(ValueError, match="not a tag of IOB2"):
        TagScheme.IOB2.decode([tag])


@both
@pytest.mark.parametrize(
    "second", [(1, 2, "Disease"), (0, 3, "Chemical"), (1, 1, "Disease"), (3, 5, "Disease")]
)
def test_entities_that_tags_cannot_hold_are_refused(scheme: TagScheme, second: Entity) -> None:
    with pytest.raises(ValueError, match=f"entity {second[0]}..{second[1]}"):
        scheme.encode(4, [(0, 2, "Disease"), second])
