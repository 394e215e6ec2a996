from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import InputError
from openmed_ner.evaluation import score_document
from openmed_ner.evaluation.errors import KINDS, Error, count_errors, find_errors, separate_errors
from openmed_ner.evaluation.matching import distinct_spans
from openmed_ner.text import Document, Span
from strategies import documents, texts

PHRASES = st.lists(
    st.sampled_from(["ab", "and", "or", ",", "(AB)", "AD", "a b", "/", ". ", "\n"]), max_size=9
).map(" ".join)


@st.composite
def pairs(draw: st.DrawFn, text: st.SearchStrategy[str] = PHRASES | texts) -> tuple[Document, Document]:
    """Gold and predicted annotations of one text, some of them equal."""
    body = draw(text)
    gold, predicted = draw(documents(st.just(body))), draw(documents(st.just(body), scored=True))
    equal = [span for span in gold.spans if draw(st.booleans())]
    return gold, replace(gold, spans=(*predicted.spans, *equal))


@given(pair=pairs())
def test_every_wrong_mention_lies_in_exactly_one_error(pair: tuple[Document, Document]) -> None:
    gold, predicted = pair
    errors = find_errors(gold, predicted)
    wanted, found = ({span.key for span in side.spans} for side in pair)
    assert Counter(span.key for error in errors for span in error.gold) == Counter(wanted - found)
    assert Counter(span.key for error in errors for span in error.predicted) == Counter(found - wanted)
    micro = score_document(gold, predicted).micro
    assert sum(len(error.gold) for error in errors) == micro.fn
    assert sum(len(error.predicted) for error in errors) == micro.fp
    assert count_errors(errors).total() == len(errors)
    assert count_errors(errors).keys() <= KINDS.keys()


@given(pair=pairs(), data=st.data())
def test_the_order_of_spans_changes_no_error(pair: tuple[Document, Document], data: st.DataObject) -> None:
    shuffled = [side.with_spans(data.draw(st.permutations(side.spans * 2))) for side in pair]
    assert find_errors(*shuffled) == find_errors(*pair)


@given(pair=pairs())
def test_an_error_shows_the_text_it_lies_in(pair: tuple[Document, Document]) -> None:
    gold, predicted = pair
    for error in find_errors(gold, predicted):
        assert gold.text.startswith(error.context, error.offset)
        for span in error.gold + error.predicted:
            assert error.offset <= span.start < span.end <= error.offset + len(error.context)


@given(pair=pairs(st.text("ab ", max_size=8)))
def test_swapping_gold_and_predicted_mirrors_every_error(pair: tuple[Document, Document]) -> None:
    """In texts without conjunctions and abbreviations, whose kinds look at the gold side first."""
    mirror = {"missed": "spurious", "spurious": "missed", "split": "merged", "merged": "split"}
    forth = count_errors(find_errors(*pair))
    back = count_errors(find_errors(*pair[::-1]))
    assert {mirror.get(kind, kind): count for kind, count in forth.items()} == back


@given(pair=pairs(), shift=st.integers(0, 3))
def test_two_errors_never_overlap_across_sides(pair: tuple[Document, Document], shift: int) -> None:
    """What overlaps is grouped, unless it also shares its boundaries with something else."""
    errors = [error for error in find_errors(*pair) if error.kind != "type"]
    for number, error in enumerate(errors):
        for other in errors[:number] + errors[number + 1 :]:
            for span in error.gold:
                assert all(span.end <= guess.start or guess.end <= span.start for guess in other.predicted)


@given(document=documents())
def test_gold_against_itself_has_no_error(document: Document) -> None:
    assert find_errors(document, document) == []


@given(document=documents(scored=True))
def test_distinct_spans_keep_the_highest_score(document: Document) -> None:
    kept = distinct_spans(document)
    assert [span.key for span in kept] == sorted({span.key for span in document.spans})
    for span in kept:
        scores = [other.score for other in document.spans if other.key == span.key]
        assert span.score == max((score for score in scores if score is not None), default=None)


@given(pair=pairs(), data=st.data())
def test_the_errors_of_two_systems_are_apart_or_shared(
    pair: tuple[Document, Document], data: st.DataObject
) -> None:
    gold, predicted = pair
    other = predicted.with_spans(span for span in (*predicted.spans, *gold.spans) if data.draw(st.booleans()))
    ours, theirs = find_errors(gold, predicted), find_errors(gold, other)
    own, shared = separate_errors(ours, theirs)
    assert sorted([*own, *(error for error, _ in shared)], key=ours.index) == ours
    assert own == [error for error in ours if not any(touch(error, one) for one in theirs)]
    assert shared == [
        (error, next(one for one in theirs if touch(error, one))) for error in ours if error not in own
    ]


def touch(left: Error, right: Error) -> bool:
    """Whether two errors have a wrong mention in common."""
    sides = ((left.gold, right.gold), (left.predicted, right.predicted))
    return any({span.key for span in a} & {span.key for span in b} for a, b in sides)


def test_errors_are_shared_with_themselves() -> None:
    errors = find_errors(*annotate("A [seizure] and {a} [rash].", ""))
    assert len(errors) == 3
    assert separate_errors(errors, errors) == ([], [(error, error) for error in errors])
    assert separate_errors(errors, []) == (errors, [])


def annotate(text: str, labels: str = "") -> tuple[Document, Document]:
    """Read "[gold]" and "{predicted}" mentions; labels are given by a letter behind the closing mark."""
    body, spans, opened = "", {"]": [], "}": []}, {"]": [], "}": []}  # type: ignore[var-annotated]
    names = {"D": "Disease", "C": "Chemical"}
    marked = iter(text)
    for letter in marked:
        if letter in "[{":
            opened["]" if letter == "[" else "}"].append(len(body))
        elif letter in "]}":
            label = names[labels[0]] if labels else "Disease"
            labels = labels[1:]
            spans[letter].append(Span(opened[letter].pop(), len(body), label))
        else:
            body += letter
    return tuple(Document("d", body, tuple(spans[side])) for side in "]}")  # type: ignore[return-value]


def kinds(text: str, labels: str = "") -> list[str]:
    return [error.kind for error in find_errors(*annotate(text, labels))]


def test_the_notation_of_these_tests() -> None:
    gold, predicted = annotate("acute [renal {failure}]", "DC")
    assert gold.text == predicted.text == "acute renal failure"
    assert predicted.spans == (Span(12, 19, "Disease"),)
    assert gold.spans == (Span(6, 19, "Chemical"),)


CASES = [
    ("[{Cisplatin}] caused deafness.", "DC", ["type"]),
    ("He had [{lung} {cancer}].", "", ["split"]),
    ("Familial [{breast} {ovarian} {cancer}].", "", ["split"]),
    ("[{[colon] cancer}] was cured.", "", ["nested"]),
    ("[{{colon} cancer}] was cured.", "", ["nested"]),
    ("the [[{APC}] tumour].", "", ["nested"]),
    ("hereditary [breast and {ovarian cancer}].", "", ["coordination"]),
    ("[hepatic, {renal and cardiac failure}] followed.", "", ["coordination"]),
    ("[hepatic , {renal , and cardiac failure}] followed.", "", ["coordination"]),
    ("{[breast cancer] or [ovarian cancer]} runs here.", "", ["coordination"]),
    ("with [cardiac and/or renal failure].", "", ["coordination"]),
    ("with {nausea and vomiting}.", "", ["coordination"]),
    ("{and [renal failure]} followed.", "", ["boundary-left"]),
    ("[{breast and ovarian cancer} syndrome]", "", ["boundary-right"]),
    ("[{diabetes mellitus}, type 2]", "", ["boundary-right"]),
    ("{[Parkinson disease] ([PD])} progressed.", "", ["merged"]),
    ("[{levodopa}-induced dyskinesia]", "CD", ["type-and-boundary"]),
    ("{[levodopa]-induced [dyskinesia]}", "CDD", ["merged"]),
    ("{[levodopa]-induced [fluoxetine]}", "CCD", ["type-and-boundary"]),
    ("[{insulin} {resistance}]", "CCD", ["type-and-boundary"]),
    ("boys with [DMD] walk late.", "", ["abbreviation"]),
    ("a high dose of {mRNA}.", "", ["abbreviation"]),
    ("{[DMD] patients}", "", ["abbreviation"]),
    ("Familial [{Alzheimer disease} (AD)] is rare.", "", ["abbreviation"]),
    ("breast carcinoma ([bca]) is not.", "", ["abbreviation"]),
    ("the thing ( {brca} ) is not.", "", ["spurious"]),
    ("the {[BRCA1] protein}", "", ["abbreviation"]),
    ("the [{BRCA1} protein]", "", ["boundary-right"]),
    ("[acute {renal failure}].", "", ["boundary-left"]),
    ("{acute [renal failure]}.", "", ["boundary-left"]),
    ("[{seizure} disorder]", "", ["boundary-right"]),
    ("[acute {renal} failure]", "", ["boundary-both"]),
    ("[acute {renal] failure}", "", ["boundary-both"]),
    ("He was given [aspirin] for {headache}.", "CD", ["missed", "spurious"]),
    ("A [[colon] cancer] was missed.", "", ["missed", "missed"]),
    ("[{[ataxia}] telangiectasia]", "", ["nested"]),
    ("nothing at all", "", []),
]


@pytest.mark.parametrize(("text", "labels", "expected"), CASES)
def test_every_kind_of_error(text: str, labels: str, expected: list[str]) -> None:
    assert kinds(text, labels) == expected


@pytest.mark.parametrize(
    ("text", "pieces", "guess", "expected"),
    [
        ("lung and breast cancer", [(0, 4), (16, 22)], (0, 22, "Disease"), "coordination"),
        ("lung and breast cancer", [(0, 4), (16, 22)], (9, 22, "Disease"), "coordination"),
        ("pain in the chest", [(0, 4), (12, 17)], (0, 17, "Disease"), "boundary-inner"),
        ("pain in the chest", [(0, 4), (12, 17)], (0, 17, "Chemical"), "type-and-boundary"),
        ("pain in the chest", [(0, 4), (12, 17)], (0, 11, "Disease"), "boundary-right"),
    ],
)
def test_discontinuous_mentions(
    text: str, pieces: list[tuple[int, int]], guess: tuple[int, int, str], expected: str
) -> None:
    mention = Span(pieces[0][0], pieces[-1][1], "Disease", fragments=tuple(pieces))
    gold, predicted = Document("d", text, (mention,)), Document("d", text, (Span(*guess),))
    assert [error.kind for error in find_errors(gold, predicted)] == [expected]
    assert [error.kind for error in find_errors(predicted, gold)] == [expected]
    relabelled = gold.with_spans([replace(mention, label="Chemical")])
    assert [error.kind for error in find_errors(gold, relabelled)] == ["type"]


def test_the_cases_show_every_kind() -> None:
    shown = {kind for _, _, expected in CASES for kind in expected}
    assert shown | {"boundary-inner"} == set(KINDS)


def test_an_error_keeps_the_spans_and_the_sentence() -> None:
    text = "Nothing here. The [acute {renal failure}] followed. Nothing there."
    gold, predicted = annotate(text)
    assert find_errors(gold, predicted) == [
        Error("boundary-left", gold.spans, predicted.spans, "d", "The acute renal failure followed.", 14)
    ]


def test_a_long_sentence_is_cut() -> None:
    (error,) = find_errors(*annotate("word " * 100 + "[rash]" + " word" * 100))
    assert len(error.context) == 160 + len("rash") + 160


def test_documents_of_two_texts_are_refused() -> None:
    with pytest.raises(InputError, match="not annotations of one text"):
        find_errors(Document("1", "cancer"), Document("1", "cancers"))
