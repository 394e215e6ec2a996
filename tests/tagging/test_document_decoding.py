"""What a text says about a name in one place decides its other places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.tagging import DocumentDecoder, Head, SubwordTokenizer, WindowReader, predict
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.document_decoding import (
    DOCUMENT_MODES,
    FLOOR,
    OFF,
    REPETITION,
    DocumentChoice,
    DocumentMode,
    WordScores,
    decode_document,
)
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.text import Document, Span, TagScheme, iter_tokens
from openmed_ner.training.export.document_choices import choose_document_modes
from strategies import LABELS, at_most, sentences

MARKED = re.compile(r"\[([^]]*)\]")
DEFINITIONS = DOCUMENT_MODES[1]


def read(marked: str) -> tuple[str, list[Span]]:
    """A text whose mentions are in square brackets."""
    text, spans = "", []
    for index, piece in enumerate(MARKED.split(marked)):
        if index % 2:
            spans.append(Span(len(text), len(text) + len(piece), "Disease", 0.8, "c"))
        text += piece
    return text, spans


def mark(text: str, spans: Sequence[Span]) -> str:
    for span in reversed(spans):
        text = f"{text[: span.start]}[{text[span.start : span.end]}]{text[span.end :]}"
    return text


def score_words(text: str, spans: Sequence[Span], log_odds: float = 1.0) -> WordScores:
    """Scores of a model that gives one to the words of its mentions, and none to all others."""
    tokens = [
        token.start
        for token in iter_tokens(text)
        if any(span.start <= token.start < span.end for span in spans)
    ]
    return WordScores(np.array(tokens, dtype=np.int32), np.full(len(tokens), log_odds, dtype=np.float32))


def refuse(corpus: str) -> WordScores:
    raise AssertionError(f"{corpus} needs no scores")


def decode(marked: str, mode: DocumentMode = DEFINITIONS, log_odds: float = 1.0) -> str:
    text, spans = read(marked)
    scores = score_words(text, spans, log_odds)
    return mark(text, decode_document(text, {"c": spans}, {"c": mode}, lambda _: scores)["c"])


LONG = "chronic kidney disease"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"[{LONG}] (CKD). CKD is common.", f"[{LONG}] ([CKD]). [CKD] is common."),
        (f"CKD ([{LONG}]) and two CKDs.", f"[CKD] ([{LONG}]) and two [CKDs]."),
        (f"CKD first. [{LONG}] (CKD).", f"[CKD] first. [{LONG}] ([CKD])."),
        # The model may begin a long form later or earlier than the definition does.
        (f"{LONG[:8]}[{LONG[8:]}] (CKD). CKD.", f"{LONG[:8]}[{LONG[8:]}] ([CKD]). [CKD]."),
        ("we counted [kidney] disease (KD). KD.", "we counted [kidney] disease (KD). KD."),
        # Neither form is a mention where they are defined.
        (
            "gas chromatography (GC) runs. [GC] and [early GC].",
            "gas chromatography (GC) runs. GC and [early GC].",
        ),
        ("gas chromatography (GC) runs. [GC] again.", "gas chromatography (GC) runs. GC again."),
        # The text contradicts itself: the short form alone is a mention where it is defined.
        ("gas chromatography ([GC]) runs. GC, [GC].",) * 2,
        # Two definitions: the nearest one before a place applies to it.
        (
            "[multiple sclerosis] (MS). MS. mass spectrometry (MS) of [MS]. MS.",
            "[multiple sclerosis] ([MS]). [MS]. mass spectrometry (MS) of MS. MS.",
        ),
        # Case counts, and a short form that is written like a word decides nothing.
        (
            "[acute lymphoblastic leukemia] (ALL) in all of them.",
            "[acute lymphoblastic leukemia] ([ALL]) in all of them.",
        ),
        ("[acute lymphoblastic leukemia] (all) in all of them.",) * 2,
        # Short forms stand as whole words, and nothing overlaps.
        (f"[{LONG}] (CKD): pCKD, CKD2, xCKDx, CKD-3.", f"[{LONG}] ([CKD]): pCKD, CKD2, xCKDx, [CKD]-3."),
        (f"[{LONG}] (CKD) and [severe CKD].", f"[{LONG}] ([CKD]) and [severe CKD]."),
        ("no definition, [CKD] and CKD.",) * 2,
    ],
)
def test_definitions_decide_short_forms(before: str, after: str) -> None:
    assert decode(before) == after
    assert decode(before, OFF) == before


@pytest.mark.parametrize(
    ("before", "log_odds", "after"),
    [
        ("[gout] or [gout] or gout.", 2.0, "[gout] or [gout] or [gout]."),
        ("[gout] or gout or gout.", 2.0, "gout or gout or gout."),
        ("[lung cancer], not lung. lung cancer", 3.0, "[lung cancer], not lung. [lung cancer]"),
        ("[gout], Gout", 2.0, "[gout], Gout"),
        ("[gout] and [severe gout] only", 0.1, "[gout] and [severe gout] only"),
        # The short form is no mention by its definition, however often the model says so.
        ("gas chromatography (GC): [GC], [GC], [GC], GC", 2.0, "gas chromatography (GC): GC, GC, GC, GC"),
        ("gas chromatography ([GC]): [GC], [GC], GC", 2.0, "gas chromatography ([GC]): [GC], [GC], [GC]"),
        # A long name that goes makes room for a shorter one.
        (
            "[cancer], [cancer], [cancer], [lung cancer]. lung cancer, lung cancer",
            2.0,
            "[cancer], [cancer], [cancer], lung [cancer]. lung [cancer], lung [cancer]",
        ),
    ],
)
def test_repetition_decides_by_the_mean(before: str, log_odds: float, after: str) -> None:
    assert decode(before, REPETITION, log_odds) == after


def test_a_decision_keeps_type_and_corpus_and_says_what_made_it() -> None:
    text, spans = read(f"[{LONG}] (CKD) or [gout], gout, [gout].")
    scores = score_words(text, spans, 2.0)
    decoded = decode_document(text, {"c": spans}, {"c": REPETITION}, lambda _: scores)["c"]
    added = {text[span.start : span.end]: span for span in decoded if span.evidence == "document"}
    assert [span for span in decoded if span.evidence == "sentence"] == spans
    assert {(span.label, span.corpus) for span in added.values()} == {("Disease", "c")}
    assert added["CKD"].score == 0.8, "the score of the long form"
    pooled = (2.0 + 2.0 + FLOOR) / 3
    assert added["gout"].score == pytest.approx(1 / (1 + np.exp(-pooled))), "the pooled probability"


# --- Properties

FORMS = ["CKD", "CKDs", "kidney", "disease", "chronic", "IL-2", "(", ")", ",", ".", LONG, "ALL", "all"]
PIECES = [f"{LONG} (CKD)", "kidney disease (KD)", "KD", "interleukin 2 (IL-2)", "KD (kidney disease)"]
marked_texts = st.lists(
    st.tuples(st.sampled_from([*FORMS, *PIECES]), st.sampled_from([" ", " ", "\n", "-"])), max_size=25
).map(lambda pairs: "".join(piece + blank for piece, blank in pairs))


@st.composite
def layers(draw: st.DrawFn) -> tuple[str, list[Span], WordScores]:
    """A text that defines and repeats names, spans of its words, and scores of its words."""
    text = draw(marked_texts)
    tokens = list(iter_tokens(text))
    spans: list[Span] = []
    index = 0
    while index < len(tokens):
        length = draw(st.integers(0, 3))
        words = tokens[index : index + length]
        if words:
            label = draw(st.sampled_from(["Disease", "Gene"]))
            spans.append(Span(words[0].start, words[-1].end, label, draw(st.sampled_from([0.3, 0.9])), "c"))
        index += max(1, length)
    log_odds = [draw(st.integers(-2, 2)) for _ in tokens]
    scores = WordScores(
        np.array([token.start for token in tokens], dtype=np.int32), np.array(log_odds, dtype=np.float32)
    )
    return text, spans, scores


@given(layers(), st.sampled_from(DOCUMENT_MODES))
def test_decisions_are_flat_stay_within_words_and_do_not_change_when_repeated(
    layer: tuple[str, list[Span], WordScores], mode: DocumentMode
) -> None:
    text, spans, scores = layer

    def decode_again(before: list[Span]) -> list[Span]:
        return decode_document(text, {"c": before}, {"c": mode}, lambda _: scores)["c"]

    decoded = decode_again(spans)
    assert all(one.end <= other.start for one, other in pairwise(decoded))
    assert decode_again(decoded) == decoded
    tokens = list(iter_tokens(text))
    starts, ends = {token.start for token in tokens}, {token.end for token in tokens}
    assert all(span.start in starts and span.end in ends for span in decoded)
    # What stays is unchanged, and what is new is written like a mention or is defined by the text.
    assert all(span in spans for span in decoded if span.evidence == "sentence")
    if mode == OFF:
        assert decoded == spans
    if "(" not in text and mode == DEFINITIONS:
        assert decoded == spans


@given(layers(), layers())
def test_heads_do_not_influence_each_other(
    one: tuple[str, list[Span], WordScores], other: tuple[str, list[Span], WordScores]
) -> None:
    text, spans, scores = one
    half = spans[::2]
    both = decode_document(
        text, {"a": spans, "b": half}, {"a": REPETITION, "b": DEFINITIONS}, lambda _: scores
    )
    assert both["a"] == decode_document(text, {"a": spans}, {"a": REPETITION}, lambda _: scores)["a"]
    assert both["b"] == decode_document(text, {"b": half}, {"b": DEFINITIONS}, refuse)["b"]


# --- Streams

HEADS = (Head("c", ("Disease",)), Head("d", ("Disease",)))
MODES: dict[str, DocumentMode] = {"c": REPETITION, "d": DEFINITIONS}


def run(ids: LongArray, mask: LongArray) -> FloatArray:
    """A model whose scores depend on a subword and its place in the window."""
    table = np.random.default_rng(0).normal(size=(200, 6))
    places = np.random.default_rng(1).normal(size=(400, 6))
    return ((table[ids] + places[np.arange(ids.shape[1])]) * mask[..., None]).astype(np.float32)


def read_windows(tokenizer: SubwordTokenizer, *, window: int = 12, budget: int = 64) -> WindowReader:
    return WindowReader(tokenizer, HEADS, window=window, overlap=4, budget=budget)


texts = st.lists(
    st.sampled_from(["aspirin", "cancer", "the", "of", "lung cancer (LC)", "LC", "tumors"]), max_size=40
).map(" ".join)


@given(st.lists(texts, max_size=5), st.integers(1, 300), st.data())
def test_results_do_not_depend_on_batches_and_order(
    tokenizer: SubwordTokenizer, bodies: list[str], budget: int, data: st.DataObject
) -> None:
    documents = [Document(str(number), body) for number, body in enumerate(bodies)]
    expected = [
        next(predict([document], run=run, reader=read_windows(tokenizer), modes=MODES))
        for document in documents
    ]
    order = data.draw(st.permutations(range(len(documents))))
    reader = read_windows(tokenizer, budget=budget)
    result = list(predict([documents[index] for index in order], run=run, reader=reader, modes=MODES))
    assert result == [expected[index] for index in order]


def test_a_definition_in_one_window_decides_another(tokenizer: SubwordTokenizer) -> None:
    """Windows of twelve subwords: the long form, its short form and the next one are far apart."""
    reader = read_windows(tokenizer)
    filler = " the" * 40
    text = f"lung cancer (LC){filler} LC{filler} LC"
    decoder = DocumentDecoder(text, HEADS, dict.fromkeys("cd", DEFINITIONS))
    windows = list(reader.windows(text))
    assert len(windows) > 5
    for window in windows:
        scores = np.zeros((len(window.starts), 6), dtype=np.float32)
        scores[:, [0, 3]] = 5.0
        for word, start in enumerate(window.starts.tolist()):
            if start < len("lung cancer"):
                scores[word, 1 if start == 0 else 2] = 9.0
        decoder.add(window, scores, last=window is windows[-1])
    mentions = [(text[span.start : span.end], span.corpus) for span in decoder.spans]
    assert mentions == [("lung cancer", "c"), ("LC", "c"), ("LC", "c"), ("LC", "c")]
    assert len(decoder.decode_document({})) == 1


def test_only_words_that_may_belong_to_a_mention_are_kept(tokenizer: SubwordTokenizer) -> None:
    """A long text costs what its candidates cost."""
    reader = read_windows(tokenizer)
    text = "aspirin " + "the " * 500
    decoder = DocumentDecoder(text, HEADS, MODES)
    windows = list(reader.windows(text))
    for window in windows:
        scores = np.zeros((len(window.starts), 6), dtype=np.float32)
        scores[:, [0, 3]] = 5.0
        scores[window.starts == 0, 1] = 9.0
        decoder.add(window, scores, last=window is windows[-1])
    assert sum(map(len, decoder._possible_words._starts)) == 1


@given(data=st.data())
@at_most(40)
def test_spans_of_a_head_are_the_same_without_the_other_heads(
    tokenizer: SubwordTokenizer, data: st.DataObject
) -> None:
    """So a result needs only the heads that it shows, to the last bit of a score."""
    heads = [
        Head("a", LABELS),
        Head("b", ("Disease",), TagScheme.IOBES),
        Head("c", (*LABELS, "Gene")),
        Head("d", ("Disease",)),
    ]
    modes = {head.corpus: data.draw(st.sampled_from(DOCUMENT_MODES)) for head in heads}
    text = data.draw(sentences | st.just("lung cancer (LC)\n- LC and lung cancer\n\nLC, p53"))
    reader = replace(read_windows(tokenizer), heads=tuple(heads))
    sizes = [len(head.tags) for head in heads]
    seed = data.draw(st.integers(0, 1000))
    windows = list(reader.windows(text))
    random = np.random.default_rng(seed)
    scores = [(3 * random.normal(size=(len(w.starts), sum(sizes)))).astype(np.float32) for w in windows]

    def decode(numbers: Sequence[int]) -> list[Span]:
        decoder = DocumentDecoder(text, [heads[number] for number in numbers], modes)
        bounds = np.cumsum([0, *sizes])
        columns = np.concatenate([np.arange(*bounds[number : number + 2]) for number in numbers])
        for window, rows in zip(windows, scores, strict=True):
            decoder.add(window, rows[:, columns], last=window is windows[-1])
        return decoder.spans

    numbers = sorted(data.draw(st.sets(st.integers(0, 3), min_size=1)))
    chosen = {heads[number].corpus for number in numbers}
    assert decode(numbers) == [span for span in decode(range(4)) if span.corpus in chosen]


# --- The choice


def test_dev_chooses_the_mode_of_each_head() -> None:
    def predicted(*corpora: str) -> list[Document]:
        return [Document("1", "gout", tuple(Span(0, 4, "Disease", 0.9, corpus) for corpus in corpora))]

    gold = {name: [Document("1", "gout", (Span(0, 4, "Disease"),))] for name in "abc"}
    gold["without gold"] = [Document("1", "gout")]
    by_mode = dict(
        zip(DOCUMENT_MODES, (predicted("a"), predicted("a", "b"), predicted("b", "c")), strict=True)
    )
    assert choose_document_modes(gold, by_mode) == {
        "a": DocumentChoice(OFF, 0.0),
        "b": DocumentChoice(DEFINITIONS, 1.0),
        "c": DocumentChoice(REPETITION, 1.0),
    }


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a mode is one of off, definitions, definitions\+repetition, not"):
        DocumentChoice("always")  # type: ignore[arg-type]
