"""Texts that are none, and other slips in calls of a tagger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openmed_ner.errors import InputError
from openmed_ner.inference.tagger import Tagger
from openmed_ner.text import Document

BAD: list[tuple[Any, str]] = [
    (float("nan"), "expected a string, found nan"),
    (None, "expected a string, found None"),
    (b"asthma", "expected a string, found bytes b'asthma'"),
    ({"text": "asthma"}, "expected a string, found dict"),
    ("a \ud83d asthma", "found half of a surrogate pair at character 2"),
]


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger.load(threads=1)


@pytest.mark.parametrize(("bad", "message"), BAD, ids=[message for _, message in BAD])
def test_texts_before_a_bad_one_are_tagged_and_it_is_named(tagger: Tagger, bad: Any, message: str) -> None:
    stream = tagger.pipe(["No effect.", "None.", bad, "No pain."])
    assert [next(stream).id, next(stream).id] == ["0", "1"]
    with pytest.raises(InputError, match=f"^text 2: {message}"):
        next(stream)


def test_bad_texts_can_be_passed_over(tagger: Tagger) -> None:
    errors: list[InputError] = []
    texts = ["No effect.", *(bad for bad, _ in BAD), "No pain.", Document("x", "a \ud83d")]
    documents = list(tagger.pipe(texts, on_bad=errors.append))
    assert [(document.id, document.text) for document in documents] == [
        ("0", "No effect."),
        ("6", "No pain."),
    ]
    assert len(errors) == len(BAD) + 1
    assert str(errors[-1]).startswith("document 'x': found half of a surrogate pair")


@pytest.mark.parametrize("texts", ["one text", b"bytes", {"text": "x"}, Document("1", "x")])
def test_one_text_is_not_several(tagger: Tagger, texts: Any) -> None:
    with pytest.raises(InputError, match="expected several texts"):
        tagger.pipe(texts)


@pytest.mark.parametrize("text", [["one", "two"], None, 1.5, b"x"])
def test_several_texts_are_not_one(tagger: Tagger, text: Any) -> None:
    with pytest.raises(InputError, match="expected one text"):
        tagger(text)


def test_names_may_come_from_a_generator_but_not_as_a_string(tagger: Tagger) -> None:
    text = "Cisplatin caused nephrotoxicity."
    for option in ("types", "corpora"):
        names = list(tagger.main_types if option == "types" else tagger.corpora)
        generator: Any = (name for name in names)
        assert tagger(text, **{option: generator}) == tagger(text, **{option: names})
        with pytest.raises(InputError, match="expected a list of names"):
            tagger(text, **{option: names[0]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"types": [None]}, "expected names of a type, such as .*, found None"),
        ({"threshold": "0.5"}, "threshold '0.5': expected a number"),
        ({"threshold": None}, "threshold None: expected a number"),
    ],
)
def test_options_of_another_type_are_refused(tagger: Tagger, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tagger("x", **options)


@pytest.mark.parametrize("texts", [None, Path("notes.txt"), 5])
def test_several_texts_can_be_iterated(tagger: Tagger, texts: Any) -> None:
    with pytest.raises(InputError, match="expected several texts, such as a list, found"):
        list(tagger.pipe(texts))
