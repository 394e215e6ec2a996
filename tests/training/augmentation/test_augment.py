"""Changed forms and notes keep every annotation true."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from string import Formatter

import pytest

from openmed_ner.errors import RecipeError
from openmed_ner.tagging import Head
from openmed_ner.tagging.labels import encode_spans
from openmed_ner.terminologies import ShortForm
from openmed_ner.text import Document, Span, iter_tokens
from openmed_ner.training.augmentation import Names, augment
from openmed_ner.training.augmentation.frames import MENTIONS, PLAIN, draw_value
from openmed_ner.training.augmentation.notes import LABELS, write_notes
from openmed_ner.training.config import Augmentation
from openmed_ner.training.objectives.token_tags import TrainingCorpus
from tiny import CORPORA

FORMS = (
    ShortForm("CKD", "Disease", 35, 1.0, "chronic kidney disease"),
    ShortForm("PE", "Disease", 55, 0.7, "pulmonary embolism"),
    ShortForm("AF", "Disease", 2, 1.0, "atrial fibrillation"),
    ShortForm("TNF", "Gene", 9, 1.0, "tumour necrosis factor"),
    ShortForm("TNF", "Chemical", 9, 1.0, "tumour necrosis factor"),
)
TEXT = "Chronic kidney disease was frequent. Chronic kidney disease was treated with aspirin."
DISEASES = Document("1", TEXT, (Span(0, 22, "Disease"), Span(37, 59, "Disease")))
CHEMICALS = Document("1", TEXT, (Span(77, 84, "Chemical"),))


def make_corpora(*others: TrainingCorpus) -> list[TrainingCorpus]:
    return [
        TrainingCorpus(Head("diseases", ("Disease",)), (DISEASES,), ()),
        TrainingCorpus(Head("chemicals", ("Chemical",)), (CHEMICALS,), ()),
        *others,
    ]


def test_by_default_nothing_is_added() -> None:
    corpora = make_corpora()
    assert augment(corpora, Augmentation(), seed=0, weights={}, short_forms=FORMS) == corpora


def test_a_text_is_changed_once_for_all_its_corpora() -> None:
    texts = set()
    for seed in range(25):
        augmented = augment(make_corpora(), Augmentation(share=1.0), seed=seed, weights={}, short_forms=FORMS)
        diseases, chemicals = (corpus.augmented for corpus in augmented)
        assert [document.text for document in diseases] == [document.text for document in chemicals]
        (changed,) = diseases
        texts.add(changed.text)

        # Both mentions have one form, and every mention is words of the text.
        first, second = (changed.mention(span).split() for span in changed.spans)
        assert [word.lower() for word in first] == [word.lower() for word in second]
        tags, account = encode_spans(changed, list(iter_tokens(changed.text)), ("Disease",))
        assert account.kept == 2 and tags.count("B-Disease") == 2
    assert len(texts) > 12
    assert any("CKD" in text for text in texts), "the short form of a mention"


def test_a_name_of_two_types_and_a_doubtful_short_form_are_not_drawn() -> None:
    both = [Document("1", "tau", (Span(0, 3, "Gene"),)), Document("2", "tau", (Span(0, 3, "Chemical"),))]
    names = Names({"Disease": [DISEASES], "Gene": both, "Chemical": [*both, CHEMICALS]}, FORMS)
    draws = random.Random(0)
    assert {names.draw("Disease", draws) for _ in range(60)} == {"CKD", "Chronic kidney disease"}
    assert {names.draw("Chemical", draws) for _ in range(20)} == {"aspirin"}
    assert not names.has("Gene") and names.shorten("chronic kidney diseases", "Disease") == "CKD"


def test_a_definition_stays_true() -> None:
    text = "Chronic kidney disease (CKD) is frequent, and CKD is treated."
    places = [(0, 22), (24, 27), (46, 49)]
    document = Document("1", text, tuple(Span(start, end, "Disease") for start, end in places))
    corpus = TrainingCorpus(Head("diseases", ("Disease",)), (document, DISEASES), ())
    for seed in range(20):
        (augmented,) = augment([corpus], Augmentation(share=1.0), seed=seed, weights={}, short_forms=FORMS)
        changed = augmented.augmented[0]
        assert [" ".join(changed.mention(span).lower().split()) for span in changed.spans] == [
            "chronic kidney disease",
            "ckd",
            "ckd",
        ]


def test_notes_are_annotated_for_heads_that_know_no_other_types() -> None:
    genes = TrainingCorpus(Head("genes", ("Gene",)), CORPORA[0].train, ())
    anatomy = TrainingCorpus(Head("anatomy", ("Anatomy",)), CORPORA[0].train, ())
    corpora = augment(make_corpora(genes, anatomy), Augmentation(notes=40), seed=0, weights={})
    diseases, chemicals, genes, anatomy = corpora
    assert [len(corpus.augmented) for corpus in corpora] == [40, 40, 40, 0]
    assert not any(note.spans for note in genes.augmented), "no diseases among the genes"
    assert any(note.spans for note in chemicals.augmented)
    for note in diseases.augmented:
        assert all(note.mention(span) == "Chronic kidney disease" for span in note.spans)
        _, account = encode_spans(note, list(iter_tokens(note.text)), ("Disease",))
        assert account.lost == 0


def test_notes_name_no_type_beside_their_slots() -> None:
    names = Names({label: [Document("1", "X1Y", (Span(0, 3, label),))] for label in ("Disease",)})
    for note in write_notes(names, 50, random.Random(0)):
        rest = note.text
        for span in reversed(note.spans):
            assert span.label == "Variant" or note.mention(span) == "X1Y"
            rest = rest[: span.start] + rest[span.end :]
        assert "X1Y" not in rest and "{" not in rest


def test_some_lines_of_notes_have_no_mention_but_numbers_and_abbreviations() -> None:
    names = Names({"Disease": [Document("1", "gout", (Span(0, 4, "Disease"),))]})
    notes = list(write_notes(names, 200, random.Random(0)))
    lines = [line for note in notes for line in note.text.splitlines() if "gout" not in line]
    assert any("SpO2" in line for line in lines)
    assert any(re.search(r"\b\d+-year-old presented with gout", note.text) for note in notes)


def test_every_slot_of_a_frame_can_be_filled() -> None:
    slots = {slot for frame in (*MENTIONS, *PLAIN) for _, slot, _, _ in Formatter().parse(frame) if slot}
    assert all(draw_value(slot, random.Random(seed)) for slot in slots - LABELS for seed in range(20))


def test_augmentation_is_the_same_for_one_seed_and_follows_the_weights() -> None:
    def changed(seed: int, **weights: float) -> list[str]:
        many = tuple(replace(DISEASES, text=f"{TEXT} {number}.") for number in range(60))
        corpus = TrainingCorpus(Head("diseases", ("Disease",)), many, ())
        (augmented,) = augment([corpus], Augmentation(share=1.0), seed=seed, weights=weights)
        return [document.text for document in augmented.augmented]

    assert changed(1) == changed(1) != changed(2)
    assert len(changed(1, diseases=3.0)) == 60 and 10 < len(changed(1, diseases=0.4)) < 40


@pytest.mark.parametrize(("name", "value"), [("share", 1.5), ("share", -0.1), ("notes", -1)])
def test_settings_are_checked(name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=f"augmentation.{name}"):
        Augmentation(**{name: value})  # type: ignore[arg-type]
