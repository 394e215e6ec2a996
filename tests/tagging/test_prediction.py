"""Prediction over streams of documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openmed_ner.errors import RunError
from openmed_ner.tagging import (
    DocumentDecoder,
    Head,
    SubwordTokenizer,
    Window,
    WindowReader,
    collect_scores,
    predict,
)
from openmed_ner.tagging.batching import LongArray
from openmed_ner.tagging.heads import FloatArray
from openmed_ner.tagging.margins import MarginDecoder
from openmed_ner.tagging.prediction import (
    BUDGET,
    BUFFER,
    IN_FLIGHT,
    BatchResult,
    ModelFunction,
    buffer_sizes,
    compute_now,
)
from openmed_ner.terminologies import Lexicon, Matcher
from openmed_ner.terminologies.lexicon import CERTAIN
from openmed_ner.text import Document, Span, TagScheme, Token, iter_tokens
from strategies import LABELS, documents, sentences

HEADS = [Head("c", LABELS), Head("c", ("Disease",), TagScheme.IOBES)]


def reader(
    tokenizer: SubwordTokenizer, heads: Sequence[Head] = HEADS, *, window: int = 12, budget: int = 64
) -> WindowReader:
    return WindowReader(
        tokenizer, tuple(heads), window=window, overlap=4 if window == 12 else 0, budget=budget
    )


def run(ids: LongArray, mask: LongArray) -> FloatArray:
    """A model whose scores depend on nothing but the subword itself."""
    table = np.random.default_rng(0).normal(size=(200, sum(len(head.tags) for head in HEADS)))
    return (table[ids] * mask[..., None]).astype(np.float32)


def coverage(document: Document) -> dict[str, object]:
    result = document.meta["coverage"]
    assert isinstance(result, dict)
    return result


corpora = st.lists(sentences | st.sampled_from(["", " ", "\r\n\t"]), max_size=6).map(
    lambda bodies: [Document(str(number), body) for number, body in enumerate(bodies)]
)


@given(corpus=corpora, budget=st.integers(1, 300), buffer=st.integers(1, 9))
def test_spans_do_not_depend_on_batches(
    tokenizer: SubwordTokenizer, corpus: list[Document], budget: int, buffer: int
) -> None:
    expected = list(predict(corpus, run=run, reader=reader(tokenizer)))
    with patch("openmed_ner.tagging.prediction.BUFFER", buffer):
        assert list(predict(corpus, run=run, reader=reader(tokenizer, budget=budget))) == expected


@given(corpus=corpora, data=st.data())
def test_documents_come_back_in_order_and_do_not_influence_each_other(
    tokenizer: SubwordTokenizer, corpus: list[Document], data: st.DataObject
) -> None:
    expected = [next(predict([document], run=run, reader=reader(tokenizer))) for document in corpus]
    order = data.draw(st.permutations(range(len(corpus))))
    result = list(predict([corpus[index] for index in order], run=run, reader=reader(tokenizer)))
    assert result == [expected[index] for index in order]


@given(corpus=corpora)
def test_every_text_is_read_whole(tokenizer: SubwordTokenizer, corpus: list[Document]) -> None:
    for document in predict(corpus, run=run, reader=reader(tokenizer)):
        n_windows = sum(1 for _ in reader(tokenizer).windows(document.text))
        assert coverage(document) == {
            "characters": len(document.text), "windows": n_windows, "complete": True
        }  # fmt: skip


@given(document=documents())
def test_prediction_replaces_spans_and_keeps_the_rest(
    tokenizer: SubwordTokenizer, document: Document
) -> None:
    document = Document(document.id, document.text, document.spans, {"year": 1998})
    (result,) = predict([document], run=run, reader=reader(tokenizer, window=400))
    words = list(iter_tokens(document.text))
    assert (result.id, result.text, result.meta["year"]) == (document.id, document.text, 1998)
    assert {span.start for span in result.spans} <= {word.start for word in words}
    assert {span.end for span in result.spans} <= {word.end for word in words}


PARTED = ["aspi-\nrin", "aspirin", "can-\r\n cer", "Can\xad\ncer", "cancer", "tu-\nmor of", "the"]


@given(text=st.lists(st.sampled_from(PARTED), min_size=1, max_size=20).map(" ".join))
def test_a_parted_word_is_read_as_one_and_keeps_its_place(tokenizer: SubwordTokenizer, text: str) -> None:
    reading = reader(tokenizer).read(text)
    assert "\n" not in reading.text
    (expected,) = predict([Document("1", reading.text)], run=run, reader=reader(tokenizer))
    (result,) = predict([Document("1", text)], run=run, reader=reader(tokenizer))
    assert list(result.spans) == reading.restore(expected.spans)
    assert (
        coverage(result) == {**coverage(expected), "characters": len(text)} and coverage(result)["complete"]
    )

    collected = collect_scores(
        [Document("1", text)], lambda read: MarginDecoder(read, HEADS), run=run, reader=reader(tokenizer)
    )
    words = reading.restore(Span(word.start, word.end, "x") for word in iter_tokens(reading.text))
    for _, decoder in collected:
        for place in decoder.candidates(decoder.spans):
            assert place.start in {word.start for word in words} and place.end in {word.end for word in words}


def test_a_name_of_the_lexicon_is_a_word(tokenizer: SubwordTokenizer) -> None:
    text = "paraceta-\nmol, parace-\nTamol, ibu-\nprofen"
    assert reader(tokenizer).read(text).text == text
    matcher = Matcher(Lexicon.compile({"Chemical": dict.fromkeys(["paracetamol", "ibu"], CERTAIN)}))
    read = replace(reader(tokenizer), matcher=matcher).read(text)
    assert read.text == "paracetamol, parace-\nTamol, ibu-\nprofen"


group = st.integers(0, 3).map(lambda n: "o" + "z" * n) | st.lists(
    st.integers(0, 3), min_size=1, max_size=9
).map(lambda tails: " ".join(letter + "z" * n for letter, n in zip("b" + "i" * 8, tails, strict=False)))


@given(text=st.lists(group, max_size=25).map(" ".join))
def test_windowed_equals_whole(tokenizer: SubwordTokenizer, text: str) -> None:
    """Words in b open an entity, words in i go on with it, so no window border can change the reading."""
    head = Head("c", ("Disease",))
    b, i = (int(tokenizer.encode(letter, [Token(0, 1)]).ids[0]) for letter in "bi")

    def by_letter(ids: LongArray, mask: LongArray) -> FloatArray:
        return np.stack([0 * ids + 0.5, ids == b, ids == i], axis=-1).astype(np.float32)

    expected = [match.span() for match in re.finditer(r"\bb\w*(?: i\w*)*", text)]
    for window in (12, 500):
        (result,) = predict(
            [Document("d", text)], run=by_letter, reader=reader(tokenizer, [head], window=window)
        )
        assert [(span.start, span.end) for span in result.spans] == expected


@pytest.mark.parametrize("text", ["", " ", "\r\n\u00a0\u2028"])
def test_a_blank_text_has_no_entities_and_is_read_whole(tokenizer: SubwordTokenizer, text: str) -> None:
    (result,) = predict([Document("d", text)], run=run, reader=reader(tokenizer))
    assert result.spans == ()
    assert coverage(result) == {"characters": len(text), "windows": 0, "complete": True}


@pytest.mark.parametrize("text", [" ", "the cancer"])
def test_documents_are_read_as_they_are_needed(tokenizer: SubwordTokenizer, text: str) -> None:
    unread = iter([Document("d", text)] * 1000)
    next(predict(unread, run=run, reader=reader(tokenizer)))
    assert len(list(unread)) >= 1000 - IN_FLIGHT * BUFFER


def test_windows_of_a_long_text_do_not_pile_up(tokenizer: SubwordTokenizer) -> None:
    sizes = []

    def counting_run(ids: LongArray, mask: LongArray) -> FloatArray:
        sizes.append(len(ids))
        return run(ids, mask)

    with patch("openmed_ner.tagging.prediction.BUFFER", 4):
        list(
            predict([Document("d", "the " * 200)], run=counting_run, reader=reader(tokenizer, budget=BUDGET))
        )
    assert sizes[:3] == [1, 2, 4]
    assert max(sizes) == 4 < sum(sizes)


@pytest.mark.parametrize("workers", [1, 3])
def test_all_workers_compute_before_much_is_read(tokenizer: SubwordTokenizer, workers: int) -> None:
    events: list[str] = []

    def read() -> Iterator[Document]:
        for number in range(100):
            events.append("read")
            yield Document(str(number), "the cancer")

    def submit(run: ModelFunction, *inputs: LongArray) -> BatchResult:
        events.append("submit")
        return compute_now(run, *inputs)

    settings = replace(reader(tokenizer), workers=workers)
    for _ in predict(read(), run=run, reader=settings, submit=submit):
        events.append("result")
    assert events[: 2 * workers] == ["read"] * workers + ["submit"] * workers
    assert events.index("result") < events.index("read") + 6 * workers
    assert events.count("result") == 100


def test_a_gpu_gets_full_batches_from_the_first(tokenizer: SubwordTokenizer) -> None:
    settings = reader(tokenizer, budget=8 * BUDGET)
    assert buffer_sizes(settings) == (8 * BUDGET // settings.window,) * 2


@given(text=sentences, data=st.data(), twice=st.booleans())
def test_a_missing_or_doubled_window_shows_in_the_coverage(
    tokenizer: SubwordTokenizer, text: str, data: st.DataObject, twice: bool
) -> None:
    windows = list(reader(tokenizer).windows(text))
    assume(windows)
    broken = data.draw(st.sampled_from(range(len(windows))))
    assume(windows[broken].owned.start < windows[broken].owned.stop)
    stream = [*windows[:broken], *[windows[broken]] * (2 if twice else 0), *windows[broken + 1 :]]
    assert decode_windows(text, windows).coverage.complete
    assert not decode_windows(text, stream).coverage.complete


@given(text=sentences, data=st.data())
def test_windows_out_of_order_show_in_the_coverage(
    tokenizer: SubwordTokenizer, text: str, data: st.DataObject
) -> None:
    windows = [window for window in reader(tokenizer).windows(text) if window.owned.start < window.owned.stop]
    order = data.draw(st.permutations(range(len(windows))))
    complete = decode_windows(text, [windows[index] for index in order]).coverage.complete
    assert complete == (order == sorted(order))


def decode_windows(text: str, windows: Sequence[Window]) -> DocumentDecoder:
    decoder = DocumentDecoder(text, HEADS)
    n_tags = sum(len(head.tags) for head in HEADS)
    for window in windows:
        decoder.add(window, np.zeros((len(window.starts), n_tags), dtype=np.float32), last=False)
    return decoder


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf, 3e38, -1e31])
def test_scores_without_bounds_end_the_run(tokenizer: SubwordTokenizer, score: float) -> None:
    def run(ids: LongArray, mask: LongArray) -> FloatArray:
        return np.full((*ids.shape, 3), score, dtype=np.float32)

    reader = WindowReader(tokenizer, (Head("a", ("Disease",)),), 64, 16)
    with pytest.raises(RunError, match="not finite"):
        list(predict([Document("1", "aspirin")], run=run, reader=reader))
