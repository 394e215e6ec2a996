"""Mention, word and subword counting, seen by the same predictions."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from openmed_ner.evaluation import score_documents, total
from openmed_ner.evaluation.protocols import make_view, see_subwords
from openmed_ner.evaluation.summary import summarise
from openmed_ner.formats.conll import read_conll
from openmed_ner.tagging import SubwordTokenizer, encode_spans
from openmed_ner.text import Document, Span, Token, iter_tokens
from strategies import LABELS, documents, sentences, to_spans, word_documents

ROOT = Path(__file__).parents[2]


def tags_of(document: Document) -> list[str]:
    return encode_spans(document, list(iter_tokens(document.text)), LABELS)[0]


@st.composite
def answers(draw: st.DrawFn) -> tuple[Document, Document]:
    """Two annotations of one text, on whole words."""
    gold = draw(word_documents())
    other = draw(word_documents(st.just(gold.text)))
    return gold, Document(gold.id, gold.text, other.spans)


@given(pairs=st.lists(answers(), min_size=1, max_size=4))
def test_word_scores_are_those_of_strict_seqeval(pairs: list[tuple[Document, Document]]) -> None:
    view = make_view("word", LABELS)
    scores = total(score_documents([view(gold) for gold, _ in pairs], [view(found) for _, found in pairs]))
    gold, found = ([tags_of(each[side]) for each in pairs] for side in (0, 1))
    if any(tag != "O" for tags in [*gold, *found] for tag in tags):
        assert scores.micro.f1 == pytest.approx(f1_score(gold, found, mode="strict", scheme=IOB2))


@given(pairs=st.lists(answers(), min_size=1, max_size=4))
def test_subword_scores_are_those_of_seqeval_over_copied_tags(
    tokenizer: SubwordTokenizer, pairs: list[tuple[Document, Document]]
) -> None:
    def copied(document: Document) -> list[str]:
        (*encodings,) = tokenizer.iter_encodings(document.text)
        lengths = [length for each in encodings for length in each.lengths]
        return [
            tag for tag, length in zip(tags_of(document), lengths, strict=True) for _ in range(int(length))
        ]

    view = make_view("subword", LABELS, tokenizer)
    scores = total(score_documents([view(gold) for gold, _ in pairs], [view(found) for _, found in pairs]))
    gold, found = ([copied(each[side]) for each in pairs] for side in (0, 1))
    if any(tag != "O" for tags in [*gold, *found] for tag in tags):
        assert scores.micro.f1 == pytest.approx(f1_score(gold, found))


@given(document=documents())
def test_the_mention_view_changes_nothing_and_the_word_view_only_drops(document: Document) -> None:
    assert make_view("mention", LABELS)(document) is document
    seen = make_view("word", LABELS)(document)
    assert {span.key for span in seen.spans} <= {span.key for span in document.spans}
    assert make_view("word", LABELS)(seen) == seen


@given(text=sentences)
def test_one_long_name_counts_once_as_mention_and_many_times_as_subwords(
    tokenizer: SubwordTokenizer, text: str
) -> None:
    tokens = list(iter_tokens(f"zzzzzz {text}"))
    document = Document("1", f"zzzzzz {text}", tuple(to_spans([(0, 1, "Disease")], tokens)))
    assert len(see_subwords(document, LABELS, tokenizer).spans) == 6


def test_the_subword_view_needs_a_tokenizer() -> None:
    with pytest.raises(ValueError, match="needs a tokenizer"):
        make_view("subword", LABELS)


def test_the_same_predictions_score_higher_by_subwords_when_the_long_name_is_right(
    tokenizer: SubwordTokenizer,
) -> None:
    text = "zzzzzzzz and cancer"
    gold = Document("1", text, (Span(0, 8, "Disease"), Span(13, 19, "Disease")))
    found = Document("1", text, (Span(0, 8, "Disease"),))
    f1 = {}
    for protocol in ("mention", "word", "subword"):
        view = make_view(protocol, LABELS, tokenizer)  # type: ignore[arg-type]
        f1[protocol] = summarise([view(gold)], [view(found)])["micro"]["f1"]
    assert f1["mention"] == f1["word"] == pytest.approx(2 / 3)
    assert f1["subword"] == pytest.approx(16 / 17)


@pytest.mark.corpora
@pytest.mark.skipif(not os.environ.get("OPENMED_NER_CORPORA"), reason="OPENMED_NER_CORPORA is not set")
@pytest.mark.parametrize(
    ("archive", "member", "n_mentions", "n_units"),
    [
        ("anatem", "anatem/mtl/AnatEM-IOB/test.tsv", 4616, 8810),
        ("s800", "s800/bioflair/test.tsv", 767, 1723),
    ],
)
def test_the_papers_units_are_the_subwords_of_first_words(
    archive: str, member: str, n_mentions: int, n_units: int
) -> None:
    """Its recall on AnatEM reduces to n/2833 and its Species-800 rows to 1,723 units, not to mentions."""
    with tarfile.open(Path(os.environ["OPENMED_NER_CORPORA"]) / f"{archive}.tar.xz") as tar:
        file = tar.extractfile(member)
        assert file is not None
        content = file.read().decode()
    corpus = list(read_conll(io.StringIO(content, newline="\n"), source=member, label="Species"))
    labels = sorted({span.label for document in corpus for span in document.spans})
    bert = SubwordTokenizer.from_json((ROOT / "src/openmed_ner/data/model/tokenizer.json").read_text("utf-8"))
    units = 0
    for document in corpus:
        words, place = [], 0
        for word in document.text.split(" "):
            words.append(Token(place, place + len(word)))
            place += len(word) + 1
        units += len(see_subwords(document, labels, bert, words).spans)
    assert (sum(len(document.spans) for document in corpus), units) == (n_mentions, n_units)
