from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB1, IOB2, IOBES, Entities, auto_detect

from openmed_ner.text import TagScheme
from openmed_ner.text.tags import DecodeMode, Entity, detect_scheme, split_tag
from strategies import LABELS, entities, random_tags

N_ORACLE = 4000
every = pytest.mark.parametrize("scheme", TagScheme)
both = pytest.mark.parametrize("scheme", [TagScheme.IOB2, TagScheme.IOBES])
SEQEVAL = {TagScheme.IOB2: IOB2, TagScheme.IOBES: IOBES, TagScheme.IOB1: IOB1, TagScheme.IO: IOB1}
lengths_and_entities = st.integers(0, 15).flatmap(lambda n: st.tuples(st.just(n), entities(n)))


def well_formed(scheme: TagScheme, tags: list[str]) -> bool:
    return all(scheme.may_follow(*pair) for pair in pairwise([None, *tags, None]))


def apart(sequence: list[Entity]) -> list[Entity]:
    """Only the entities that touch none of their label before them."""
    pairs = pairwise([(0, 0, ""), *sequence])
    return [after for before, after in pairs if before[1:] != (after[0], after[2])]


@every
@pytest.mark.parametrize("mode", ["strict", "conlleval"])
@given(case=lengths_and_entities)
def test_decoding_inverts_encoding(
    scheme: TagScheme, mode: DecodeMode, case: tuple[int, list[Entity]]
) -> None:
    n_words, expected = case
    expected = apart(expected) if scheme is TagScheme.IO else expected
    tags = scheme.encode(n_words, expected)
    assert len(tags) == n_words
    assert set(tags) <= set(scheme.tags(LABELS))
    assert scheme.decode(tags, mode=mode) == expected


@both
def test_strict_decoding_agrees_with_seqeval(scheme: TagScheme) -> None:
    sequences = random_tags(scheme, N_ORACLE)
    oracle = Entities(sequences, SEQEVAL[scheme]).entities
    expected = [[(entity.start, entity.end, entity.tag) for entity in sequence] for sequence in oracle]
    assert [scheme.decode(tags, mode="strict") for tags in sequences] == expected


@every
def test_seqeval_agrees_on_well_formed_sequences(scheme: TagScheme) -> None:
    # On a malformed IOB1 sequence it does not: seqeval lets the word after a stray B open an entity.
    sequences = [tags for tags in random_tags(scheme, N_ORACLE) if well_formed(scheme, tags)]
    assert len(sequences) > N_ORACLE / 100
    oracle = Entities(sequences, SEQEVAL[scheme]).entities
    expected = [[(entity.start, entity.end, entity.tag) for entity in sequence] for sequence in oracle]
    assert [scheme.decode(tags) for tags in sequences] == expected


@every
def test_conlleval_decoding_agrees_with_lenient_seqeval(scheme: TagScheme) -> None:
    for tags in random_tags(scheme, N_ORACLE):
        expected = [(first, last + 1, label) for label, first, last in get_entities(tags)]
        assert scheme.decode(tags, mode="conlleval") == expected


@every
def test_conlleval_finds_all_that_strict_finds_and_more(scheme: TagScheme) -> None:
    pairs = [
        (set(scheme.decode(tags)), set(scheme.decode(tags, mode="conlleval")))
        for tags in random_tags(scheme, N_ORACLE)
    ]
    assert all(strict <= lenient for strict, lenient in pairs)
    assert any(strict < lenient for strict, lenient in pairs) == (scheme is not TagScheme.IO)


@every
@pytest.mark.parametrize("n_words", [1, 2, 3, 4])
def test_a_sequence_is_well_formed_if_each_tag_may_follow_the_one_before(
    scheme: TagScheme, n_words: int
) -> None:
    for tags in product(scheme.tags(LABELS), repeat=n_words):
        unchanged = scheme.encode(n_words, scheme.decode(tags)) == list(tags)
        assert unchanged == well_formed(scheme, list(tags)), tags


@every
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


@every
@pytest.mark.parametrize(
    "second", [(1, 2, "Disease"), (0, 3, "Chemical"), (1, 1, "Disease"), (3, 5, "Disease")]
)
def test_entities_that_tags_cannot_hold_are_refused(scheme: TagScheme, second: Entity) -> None:
    with pytest.raises(ValueError, match=f"entity {second[0]}..{second[1]}"):
        scheme.encode(4, [(0, 2, "Disease"), second])


@pytest.mark.parametrize("entities", [[(0, 2, "Disease"), (2, 3, "Disease")]])
def test_neighbours_of_one_label_are_told_apart_by_all_but_io(entities: list[Entity]) -> None:
    assert TagScheme.IOB1.encode(4, entities) == ["I-Disease", "I-Disease", "B-Disease", "O"]
    assert TagScheme.IOB1.encode(4, entities[::-1]) == ["I-Disease", "I-Disease", "B-Disease", "O"]
    with pytest.raises(ValueError, match="'Disease' touch"):
        TagScheme.IO.encode(4, entities)
    assert TagScheme.IO.encode(3, [(0, 2, "Disease"), (2, 3, "Gene")]) == ["I-Disease", "I-Disease", "I-Gene"]


# --- telling the scheme

corpora = st.lists(lengths_and_entities, max_size=4)


@every
@given(corpus=corpora)
def test_the_detected_scheme_reads_what_the_true_one_wrote(
    scheme: TagScheme, corpus: list[tuple[int, list[Entity]]]
) -> None:
    expected = [apart(spans) if scheme is TagScheme.IO else spans for _, spans in corpus]
    written = [scheme.encode(n, spans) for (n, _), spans in zip(corpus, expected, strict=True)]
    detected = detect_scheme(iter(written))
    assert [detected.decode(tags) for tags in written] == expected
    letters = {tag[0] for tags in written for tag in tags}
    if scheme in (TagScheme.IOB2, TagScheme.IOBES) and letters & {"S", "E", "B"}:
        assert detected is scheme


@both
def test_seqeval_detects_the_same(scheme: TagScheme) -> None:
    sequences = [
        tags for tags in random_tags(scheme, N_ORACLE) if well_formed(scheme, tags) and set(tags) != {"O"}
    ]
    assert SEQEVAL[detect_scheme(sequences)] is auto_detect(sequences) is SEQEVAL[scheme]


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("", TagScheme.IOB2),
        ("O O", TagScheme.IOB2),
        ("B-a", TagScheme.IOB2),
        ("I-a I-a", TagScheme.IO),
        ("I-a B-a", TagScheme.IOB1),
        ("B-a I-a O I-a O B-a", TagScheme.IOB2),
        ("I-a O I-a O B-a", TagScheme.IOB1),
        ("O I-a O B-a", TagScheme.IOB2),
        ("S-a", TagScheme.IOBES),
        ("B-a E-a O B-a", TagScheme.IOBES),
        ("I-a E-a", TagScheme.IOBES),
    ],
)
def test_the_scheme_broken_least_is_detected(tags: str, scheme: TagScheme) -> None:
    assert detect_scheme([tags.split()]) is scheme


@pytest.mark.parametrize("tag", ["U-a", "L-a", "M-a", "B", "b-a", ""])
def test_a_tag_of_no_known_scheme_is_named(tag: str) -> None:
    with pytest.raises(ValueError, match=f"{tag!r} is not a tag"):
        detect_scheme([["O"], ["B-a", tag]])
