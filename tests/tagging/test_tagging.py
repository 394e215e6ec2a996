from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice, pairwise, product
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from openmed_ner.errors import BundleError, InputError, RunError
from openmed_ner.tagging import (
    DocumentDecoder,
    Encoding,
    Head,
    SubwordTokenizer,
    Window,
    WindowReader,
    decode_spans,
    encode_spans,
    iter_windows,
    learn_transitions,
    predict,
)
from openmed_ner.tagging.batching import LongArray, group_by_length, pad_windows
from openmed_ner.tagging.decoding import MODEL_SCHEMES, FloatArray
from openmed_ner.tagging.prediction import BUFFER, IN_FLIGHT
from openmed_ner.tagging.subwords import MAX_PIECES
from openmed_ner.text import Document, Span, TagScheme, Token, iter_tokens
from strategies import LABELS, documents, entities, sentences, texts, to_spans

BYTE_LEVEL = ["<s>", "</s>", "<pad>", "<unk>"]
CORPUS = [
    "IL-2-induced tumors of the colon",
    "5-fluorouracil in cancer, naïve cells",
    "β-catenin (CTNNB1)",
] * 4
both = pytest.mark.parametrize("scheme", MODEL_SCHEMES)
lengths = st.lists(st.integers(1, 6), min_size=1, max_size=60)


def frame() -> processors.TemplateProcessing:
    return processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)])


@pytest.fixture(scope="session")
def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=320, special_tokens=BYTE_LEVEL, initial_alphabet=alphabet, show_progress=False
        ),
    )
    tokenizer.post_processor = frame()
    return tokenizer


@pytest.fixture(scope="session")
def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"[\p{Cc}\p{Cf}]"), "")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.UnigramTrainer(
            vocab_size=90, special_tokens=BYTE_LEVEL, unk_token="<unk>", show_progress=False
        ),
    )
    tokenizer.post_processor = frame()
    return tokenizer


@pytest.fixture(scope="session", params=["wordpiece", "byte_level", "unigram"])
def any_encoder(request: pytest.FixtureRequest, tokenizer: SubwordTokenizer) -> SubwordTokenizer:
    return (
        tokenizer
        if request.param == "wordpiece"
        else SubwordTokenizer(request.getfixturevalue(request.param))
    )


# --- subwords


@given(text=texts)
@example("\0 \u200b\ufeff\u00ad \x01a \x7f")
def test_every_word_owns_a_subword(any_encoder: SubwordTokenizer, text: str) -> None:
    tokens = list(iter_tokens(text))
    encoding = any_encoder.encode(text, tokens)
    assert [*zip(encoding.starts, encoding.ends, strict=True)] == [
        (token.start, token.end) for token in tokens
    ]
    assert (encoding.lengths >= 1).all()
    assert encoding.lengths.sum() == len(encoding.ids)


@given(text=texts)
def test_a_word_is_cut_the_same_way_alone(any_encoder: SubwordTokenizer, text: str) -> None:
    tokens = list(iter_tokens(text))
    alone = [any_encoder.encode(text, [token]).ids.tolist() for token in tokens]
    assert any_encoder.encode(text, tokens).ids.tolist() == list(chain(*alone))


@given(text=texts, block=st.integers(1, 5))
def test_blocks_joined_equal_one_whole_encoding(any_encoder: SubwordTokenizer, text: str, block: int) -> None:
    assume(not text.isspace() and text)
    (whole,) = any_encoder.iter_encodings(text)
    with patch("openmed_ner.tagging.subwords.BLOCK", block):
        parts = list(any_encoder.iter_encodings(text))
    for field in ("starts", "ends", "lengths", "ids"):
        joined = np.concatenate([getattr(part, field) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, field))


@given(text=texts)
def test_byte_level_subwords_spell_the_text(byte_level: Tokenizer, text: str) -> None:
    tokenizer = SubwordTokenizer(byte_level)
    spelt = byte_level.decode(tokenizer.encode(text, list(iter_tokens(text))).ids.tolist())
    assert "".join(spelt.split()) == "".join(text.split())


def test_a_control_character_stands_in_as_unknown(tokenizer: SubwordTokenizer) -> None:
    text = "a\0b \u200b\u200b c"
    encoding = tokenizer.encode(text, list(iter_tokens(text)))
    unknown = tokenizer.unknown
    a, b, c = (tokenizer.encode(letter, [Token(0, 1)]).ids[0] for letter in "abc")
    assert encoding.ids.tolist() == [a, unknown, b, unknown, unknown, c]


def test_a_word_of_countless_subwords_stands_in_as_unknown(any_encoder: SubwordTokenizer) -> None:
    text = "aspirin e" + "\u0301" * 500 + " 👩" + "\u20dd" * 500 + " cancer"
    (encoding,) = any_encoder.iter_encodings(text)
    assert len(encoding.starts) == 4
    assert encoding.lengths.max() <= MAX_PIECES and encoding.lengths.min() >= 1
    assert encoding.lengths.sum() == len(encoding.ids)
    assert [window.owned for window in iter_windows([encoding], capacity=MAX_PIECES, overlap=0)]


@given(text=texts)
def test_a_saved_encoder_cuts_the_same(any_encoder: SubwordTokenizer, text: str) -> None:
    tokens = list(iter_tokens(text))
    again = SubwordTokenizer.from_json(any_encoder.to_json())
    np.testing.assert_array_equal(again.encode(text, tokens).ids, any_encoder.encode(text, tokens).ids)


def test_truncation_and_padding_are_off(tokenizer: SubwordTokenizer) -> None:
    cutting = Tokenizer.from_str(tokenizer.to_json())
    cutting.enable_truncation(8)
    cutting.enable_padding(length=50)
    text = "the " * 40
    (expected,), (found,) = (each.iter_encodings(text) for each in (tokenizer, SubwordTokenizer(cutting)))
    assert found.ids.tolist() == expected.ids.tolist() == [expected.ids[0]] * 40


def test_an_unusable_tokenizer_is_refused(tokenizer: SubwordTokenizer) -> None:
    unframed = Tokenizer(models.WordPiece({"[UNK]": 0, "[PAD]": 1}, unk_token="[UNK]"))
    with pytest.raises(BundleError, match="frames a text with 0 special subwords"):
        SubwordTokenizer(unframed)
    with pytest.raises(BundleError, match="cannot be read"):
        SubwordTokenizer.from_json(tokenizer.to_json()[:-9])
    with pytest.raises(BundleError, match="\\[PAD\\]"):
        SubwordTokenizer.from_json(tokenizer.to_json().replace("[PAD]", "[FILL]"))


# --- windows


def encode_lengths(numbers: Sequence[int], *, block: int | None = None) -> Iterator[Encoding]:
    """Words of given lengths in subwords, two characters apart."""
    block = block or len(numbers)
    ids = iter(range(sum(numbers)))
    for first in range(0, len(numbers), block):
        part = np.array(numbers[first : first + block], dtype=np.int32)
        starts = 2 * np.arange(first, first + len(part), dtype=np.int32)
        yield Encoding(starts, starts + 1, part, np.fromiter(islice(ids, part.sum()), dtype=np.int32))


def owned_words(window: Window) -> range:
    return range(window.first + window.owned.start, window.first + window.owned.stop)


capacities = st.integers(6, 20).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n // 2)))


@given(numbers=lengths, capacity=capacities, block=st.integers(1, 9))
def test_windows_own_every_word_once_and_in_order(
    numbers: list[int], capacity: tuple[int, int], block: int
) -> None:
    encodings = encode_lengths(numbers, block=block)
    windows = list(iter_windows(encodings, capacity=capacity[0], overlap=capacity[1]))
    assert list(chain(*map(owned_words, windows))) == list(range(len(numbers)))


@given(numbers=lengths, capacity=capacities)
def test_a_window_is_a_run_of_whole_words_within_capacity(
    numbers: list[int], capacity: tuple[int, int]
) -> None:
    begins = np.cumsum([0, *numbers])
    for window in iter_windows(encode_lengths(numbers), capacity=capacity[0], overlap=capacity[1]):
        end = window.first + len(window.starts)
        assert 0 <= window.owned.start <= window.owned.stop <= len(window.starts)
        assert window.starts.tolist() == [2 * word for word in range(window.first, end)]
        assert window.ids.tolist() == list(range(begins[window.first], begins[end]))
        assert window.ids[window.first_subwords].tolist() == begins[window.first : end].tolist()
        assert len(window.ids) <= capacity[0]


@given(numbers=lengths, capacity=capacities)
@example([3, 2, 2, 6, 1], (7, 3))
def test_a_word_is_owned_by_the_window_where_it_lies_farthest_from_an_edge(
    numbers: list[int], capacity: tuple[int, int]
) -> None:
    begins = np.cumsum([0, *numbers]).tolist()
    windows = list(iter_windows(encode_lengths(numbers), capacity=capacity[0], overlap=capacity[1]))

    def distance(window: Window, word: int) -> float:
        last = window.first + len(window.starts)
        left = begins[word] - begins[window.first] if window.first > 0 else np.inf
        right = begins[last] - begins[word + 1] if last < len(numbers) else np.inf
        return min(left, right) if window.first <= word < last else -1

    for window in windows:
        for word in owned_words(window):
            assert distance(window, word) == max(distance(other, word) for other in windows), word


@given(numbers=lengths, capacity=capacities)
def test_neighbours_share_as_much_as_asked_as_near_as_whole_words_allow(
    numbers: list[int], capacity: tuple[int, int]
) -> None:
    windows = list(iter_windows(encode_lengths(numbers), capacity=capacity[0], overlap=capacity[1]))
    for left, right in pairwise(windows):
        shared = left.ids[-1] + 1 - right.ids[0]
        one_word_more = shared + numbers[right.first - 1]
        assert 0 <= shared <= capacity[1]
        assert one_word_more > capacity[1] or right.first == left.first + 1


@given(numbers=lengths, capacity=capacities, block=st.integers(1, 9))
def test_windows_do_not_depend_on_blocks(numbers: list[int], capacity: tuple[int, int], block: int) -> None:
    whole, parts = (
        [
            (window.first, window.owned, window.ids.tolist())
            for window in iter_windows(encodings, capacity=capacity[0], overlap=capacity[1])
        ]
        for encodings in (encode_lengths(numbers), encode_lengths(numbers, block=block))
    )
    assert whole == parts


@given(numbers=lengths, spare=st.integers(0, 3))
def test_a_text_that_fits_is_one_window(numbers: list[int], spare: int) -> None:
    capacity = sum(numbers) + spare
    (window,) = iter_windows(encode_lengths(numbers), capacity=capacity, overlap=capacity // 2)
    assert window.owned == slice(0, len(numbers))


def test_a_text_without_words_has_no_window() -> None:
    assert list(iter_windows([], capacity=8, overlap=2)) == []


@given(numbers=lengths, place=st.integers(0, 60))
def test_a_word_longer_than_a_window_is_named(numbers: list[int], place: int) -> None:
    place = min(place, len(numbers))
    numbers = [*numbers[:place], 9, *numbers[place:]]
    with pytest.raises(InputError, match=f"at character {2 * place} has 9 subwords; a window holds 8"):
        list(iter_windows(encode_lengths(numbers), capacity=8, overlap=2))


@pytest.mark.parametrize("overlap", [-1, 5])
def test_windows_overlap_by_half_at_most(overlap: int) -> None:
    with pytest.raises(InputError, match="at most half"):
        list(iter_windows(encode_lengths([1]), capacity=8, overlap=overlap))


# --- labels


@both
@given(document=documents())
def test_every_gold_span_is_accounted_for(scheme: TagScheme, document: Document) -> None:
    tokens = list(iter_tokens(document.text))
    tags, account = encode_spans(document, tokens, LABELS, scheme=scheme)
    decoded = decode_spans(tags, tokens, scheme=scheme)
    assert account.total == len(document.spans)
    assert account.kept == len(decoded)
    assert sum(account.reasons.values()) == account.split + account.lost
    assert {span.key for span in decoded} <= {span.key for span in document.spans}


@both
@given(data=st.data(), text=texts | sentences)
def test_spans_of_whole_words_are_all_kept(scheme: TagScheme, data: st.DataObject, text: str) -> None:
    tokens = list(iter_tokens(text))
    spans = to_spans(data.draw(entities(len(tokens))), tokens)
    shuffled = data.draw(st.permutations(spans))
    tags, account = encode_spans(Document("d", text, tuple(shuffled)), tokens, LABELS, scheme=scheme)
    assert decode_spans(tags, tokens, scheme=scheme) == spans
    assert (account.kept, account.lost) == (len(spans), 0)


def test_what_words_cannot_hold_is_counted_by_reason() -> None:
    text = "colorectal cancer syndrome"
    spans = [
        Span(11, 17, "Disease"),  # nested in the next
        Span(0, 17, "Disease"),
        Span(0, 17, "Disease"),
        Span(5, 17, "Disease"),
        Span(18, 26, "Gene"),
        Span(18, 26, "Chemical"),
    ]
    tokens = list(iter_tokens(text))
    tags, account = encode_spans(Document("d", text, tuple(spans)), tokens, LABELS)
    assert tags == ["B-Disease", "I-Disease", "B-Chemical"]
    assert str(account) == (
        "2 kept, 0 split, 4 lost (a boundary lies inside a word: 1, has a label the head does not know: 1, "
        "overlaps a longer or earlier span: 1, repeats another span: 1)"
    )


# --- batching


@given(sizes=st.lists(st.integers(1, 90), max_size=40), budget=st.integers(1, 400))
def test_batches_hold_every_sequence_once_within_the_budget(sizes: list[int], budget: int) -> None:
    batches = group_by_length(sizes, budget=budget)
    assert sorted(chain(*batches)) == list(range(len(sizes)))
    for batch in batches:
        padded = max(sizes[index] + -sizes[index] % 16 for index in batch)
        assert len(batch) == 1 or len(batch) * padded <= budget


@given(text=sentences)
def test_padding_is_masked_and_the_rest_is_framed(tokenizer: SubwordTokenizer, text: str) -> None:
    windows = list(iter_windows(tokenizer.iter_encodings(text), capacity=10, overlap=4))
    assume(windows)
    ids, mask = pad_windows(windows, tokenizer)
    assert (ids[mask == 0] == tokenizer.padding).all()
    for row, kept, window in zip(ids, mask, windows, strict=True):
        assert row[kept == 1].tolist() == [tokenizer.prefix, *window.ids, tokenizer.suffix]
        assert (np.diff(kept) <= 0).all()


# --- decoding


def to_scores(rows: list[list[int]]) -> FloatArray:
    return np.array(rows, dtype=np.float32)


def matrices(n_tags: int, *, max_words: int) -> st.SearchStrategy[FloatArray]:
    """Whole numbers, so that totals are exact and ties are common."""
    row = st.lists(st.integers(-4, 4), min_size=n_tags, max_size=n_tags)
    return st.lists(row, min_size=1, max_size=max_words).map(to_scores)


HEADS = [Head("c", LABELS), Head("c", ("Disease",), TagScheme.IOBES)]


def transitions(head: Head) -> st.SearchStrategy[Head]:
    """A head that knows nothing of transitions, or quarters of one, so that totals are exact."""
    n_tags = len(head.tags)
    row = st.lists(st.integers(-4, 4).map(lambda each: each / 4), min_size=n_tags, max_size=n_tags).map(tuple)
    learnt = st.lists(row, min_size=n_tags, max_size=n_tags).map(tuple)
    return (st.just(()) | learnt).map(lambda rows: replace(head, transitions=rows))


any_head = pytest.mark.parametrize("head", HEADS, ids=lambda head: head.scheme.value)


@any_head
@given(data=st.data(), last=st.booleans())
@settings(max_examples=60)
def test_decoding_finds_the_best_of_all_well_formed_sequences(
    head: Head, data: st.DataObject, last: bool
) -> None:
    head = data.draw(transitions(head))
    scores = data.draw(matrices(len(head.tags), max_words=4))
    scores[:, 0] += data.draw(st.sampled_from([0, 3]))  # nothing but O, more often
    previous = data.draw(st.sampled_from(range(len(head.tags))))
    edge = [None] if last else []
    learnt = np.array(head.transitions or np.zeros((len(head.tags),) * 2))

    def well_formed(tags: tuple[int, ...]) -> bool:
        names = [*(head.tags[tag] for tag in (previous, *tags)), *edge]
        return all(head.scheme.may_follow(*pair) for pair in pairwise(names))

    def score(tags: Sequence[int]) -> float:
        steps = sum(learnt[before, after] for before, after in pairwise((previous, *tags)))
        return float(sum(scores[index, tag] for index, tag in enumerate(tags)) + steps)

    best = head.decode(scores, previous=previous, last=last)
    sequences = product(range(len(head.tags)), repeat=len(scores))
    assert well_formed(tuple(best))
    assert score(best) == max(score(tags) for tags in sequences if well_formed(tags))


def test_what_follows_what_is_learnt_from_documents() -> None:
    texts = ["gastric cancer or lung cancer", "cancer", "no tumour here"]
    spans = [[(0, 14), (18, 29)], [(0, 6)], []]
    documents = [
        Document(str(number), text, tuple(Span(start, end, "Disease") for start, end in found))
        for number, (text, found) in enumerate(zip(texts, spans, strict=True))
    ]
    plain = Head("c", ("Disease",))
    head = learn_transitions(plain, documents, weight=1.0)
    pairs = {"OO": 3, "OB": 3, "OI": None, "BO": 0, "BB": 0, "BI": 2, "IO": 1, "IB": 0, "II": 0}
    counts = {pair: 0.0 if n is None else n + 0.5 for pair, n in pairs.items()}
    for before, row in zip("OBI", head.transitions, strict=True):
        for after, value in zip("OBI", row, strict=True):
            share = counts[before + after] / sum(counts[before + other] for other in "OBI")
            anywhere = sum(counts[other + after] for other in "OBI") / sum(counts.values())
            assert value == pytest.approx(np.log(share / anywhere) if share else 0.0, abs=1e-3)
    half = learn_transitions(plain, documents, weight=0.5)
    np.testing.assert_allclose(half.transitions, np.array(head.transitions) / 2, atol=1e-3)
    assert learn_transitions(head, documents, weight=0.0) == plain
    unsure = to_scores([[0, 1, 0], [1, 0, 1]])  # the second word is O or inside, the model cannot say
    assert [each.decode(unsure).tolist() for each in (plain, head)] == [[1, 0], [1, 2]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [(((0.0, 0.0),) * 2, "a square of them"), (((0.0,) * 3, (float("nan"),) * 3, (0.0,) * 3), "from -1000")],
)
def test_transitions_that_are_none_are_refused(rows: tuple[tuple[float, ...], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Head("c", ("Disease",), transitions=rows)


@any_head
@given(data=st.data())
def test_decoding_block_by_block_stays_well_formed(head: Head, data: st.DataObject) -> None:
    head = data.draw(transitions(head))
    scores = data.draw(matrices(len(head.tags), max_words=20))
    cuts = data.draw(st.sets(st.integers(0, len(scores)), max_size=5))
    tags: list[int] = []
    for first, end in pairwise(sorted({0, *cuts, len(scores)})):
        best = head.decode(scores[first:end], previous=tags[-1] if tags else 0, last=end == len(scores))
        tags += best.tolist()
    names = [head.tags[tag] for tag in tags]
    assert head.scheme.encode(len(names), head.scheme.decode(names)) == names


def single_window(text: str) -> Window:
    bounds = np.array([(token.start, token.end) for token in iter_tokens(text)], dtype=np.int32)
    heads = np.arange(len(bounds), dtype=np.int32)
    return Window(0, bounds[:, 0], bounds[:, 1], heads, heads, slice(0, len(bounds)))


@any_head
@given(data=st.data())
def test_a_span_scores_the_geometric_mean_of_its_words(head: Head, data: st.DataObject) -> None:
    scores = data.draw(matrices(len(head.tags), max_words=8))
    text = " ".join("abcdefgh"[: len(scores)])
    decoder = DocumentDecoder(text, [head])
    decoder.add(single_window(text), scores, last=True)
    tags = head.decode(scores)
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    for span in decoder.spans:
        words = range(span.start // 2, span.end // 2 + 1)
        product_of_words = np.prod([probabilities[word, tags[word]] for word in words])
        assert span.score == pytest.approx(product_of_words ** (1 / len(words)), rel=1e-4)


@given(data=st.data())
def test_heads_do_not_influence_each_other(data: st.DataObject) -> None:
    matrix = data.draw(matrices(sum(len(head.tags) for head in HEADS), max_words=8))
    text = " ".join("abcdefgh"[: len(matrix)])
    first, second = Head("first", HEADS[0].labels), Head("second", HEADS[1].labels, TagScheme.IOBES)
    width = len(first.tags)
    together = DocumentDecoder(text, [first, second])
    together.add(single_window(text), matrix, last=True)
    alone = []
    for head, scores in [(first, matrix[:, :width]), (second, matrix[:, width:])]:
        decoder = DocumentDecoder(text, [head])
        decoder.add(single_window(text), scores, last=True)
        alone += decoder.spans
    assert together.spans == sorted(alone, key=lambda span: (span.start, span.end))


# --- prediction


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
    found = document.meta["coverage"]
    assert isinstance(found, dict)
    return found


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
    found = list(predict([corpus[index] for index in order], run=run, reader=reader(tokenizer)))
    assert found == [expected[index] for index in order]


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
    (found,) = predict([document], run=run, reader=reader(tokenizer, window=400))
    words = list(iter_tokens(document.text))
    assert (found.id, found.text, found.meta["year"]) == (document.id, document.text, 1998)
    assert {span.start for span in found.spans} <= {word.start for word in words}
    assert {span.end for span in found.spans} <= {word.end for word in words}


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
        (found,) = predict(
            [Document("d", text)], run=by_letter, reader=reader(tokenizer, [head], window=window)
        )
        assert [(span.start, span.end) for span in found.spans] == expected


@pytest.mark.parametrize("text", ["", " ", "\r\n\u00a0\u2028"])
def test_a_blank_text_has_no_entities_and_is_read_whole(tokenizer: SubwordTokenizer, text: str) -> None:
    (found,) = predict([Document("d", text)], run=run, reader=reader(tokenizer))
    assert found.spans == ()
    assert coverage(found) == {"characters": len(text), "windows": 0, "complete": True}


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
        list(predict([Document("d", "the " * 200)], run=counting_run, reader=reader(tokenizer, budget=10**6)))
    assert max(sizes) == 4 < sum(sizes)


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


def test_scores_that_are_no_numbers_end_the_run(tokenizer: SubwordTokenizer) -> None:
    def run(ids: LongArray, mask: LongArray) -> FloatArray:
        return np.full((*ids.shape, 3), np.nan, dtype=np.float32)

    reader = WindowReader(tokenizer, (Head("a", ("Disease",)),), 64, 16)
    with pytest.raises(RunError, match="no numbers"):
        list(predict([Document("1", "aspirin")], run=run, reader=reader))


def test_a_discontinuous_mention_is_lost_to_words_and_accounted_for() -> None:
    text = "breast and ovarian cancer"
    spans = (Span(0, 25, "Disease", fragments=((0, 6), (19, 25))), Span(11, 25, "Disease"))
    tags, account = encode_spans(Document("1", text, spans), list(iter_tokens(text)), LABELS)
    assert tags == ["O", "O", "B-Disease", "I-Disease"]
    assert (account.kept, account.lost, account.reasons) == (1, 1, {"is discontinuous": 1})
