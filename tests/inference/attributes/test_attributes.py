"""Abbreviations and context: what the steps find, and that they leave the spans alone."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexicons import build_diseases
from openmed_ner.errors import InputError, MissingExtraError
from openmed_ner.inference.attributes import STEPS, IdentifierOptions, add_attributes
from openmed_ner.inference.attributes.abbreviations import find_definitions
from openmed_ner.inference.attributes.context import _load_rules
from openmed_ner.terminologies import build
from openmed_ner.text import Document, Span
from openmed_ner.text.sentences import iter_sentences
from strategies import documents, texts

MARK = re.compile(r"\[([^\]]*)\]")
TEXT_STEPS = [step for step in STEPS if step != "identifiers"]
"""Steps that need nothing but the text."""


def marked(sentence: str) -> Document:
    """A document in which what stood in square brackets is a mention."""
    text, spans = "", []
    for place, piece in enumerate(MARK.split(sentence)):
        if place % 2:
            spans.append(Span(len(text), len(text) + len(piece), "Disease"))
        text += piece
    return Document("1", text, tuple(spans))


def attributes_of(sentence: str, step: str) -> list[dict[str, str | bool]]:
    (document,) = add_attributes([marked(sentence)], [step])
    return [dict(span.attributes) for span in document.spans]


def definitions_of(text: str) -> list[tuple[str, str]]:
    return [(text[slice(*entry.short)], text[slice(*entry.long)]) for entry in find_definitions(text)]


# --- Any text

clauses = st.sampled_from(
    ["acute kidney injury", "(AKI)", "no", "history of", "his mother had", "possible", "AKI", "but", ".", ";"]
)
notes = st.lists(st.tuples(clauses | texts, st.sampled_from([" ", "\n", "", "\n\n"])), max_size=15).map(
    lambda pairs: "".join(word + blank for word, blank in pairs)
)


@given(corpus=st.lists(documents(notes, scored=True), max_size=3), steps=st.permutations(TEXT_STEPS))
def test_steps_change_nothing_but_attributes(corpus: list[Document], steps: list[str]) -> None:
    result = list(add_attributes(corpus, steps))
    bare = [
        document.with_spans(
            Span(*span.key[:3], span.score, span.corpus, span.fragments) for span in document.spans
        )
        for document in result
    ]
    assert bare == corpus
    assert list(add_attributes(result, steps)) == result
    assert {name for document in result for span in document.spans for name, _ in span.attributes} <= {
        "long_form",
        "short_form",
        "negated",
        "historical",
        "hypothetical",
        "family",
    }


@given(text=notes)
def test_sentences_are_the_text(text: str) -> None:
    ranges = list(iter_sentences(text))
    assert "".join(text[start:end] for start, end in ranges) == text
    assert all(0 < end - start <= 2000 for start, end in ranges)


@given(
    text=st.lists(st.sampled_from(["a", "B", "c ", "(", ")", "(AB)", " ", ". ", "İ", "ab ", "\n"])).map(
        "".join
    )
)
def test_a_long_form_holds_the_letters_of_its_short_form_in_order(text: str) -> None:
    sentences = list(iter_sentences(text))
    for result in find_definitions(text):
        short, long = text[slice(*result.short)], text[slice(*result.long)]
        letters = iter(long.lower())
        assert all(letter in letters for letter in short.lower() if letter.isalnum())
        assert short[0].lower() == long[0].lower()
        assert len(long) > len(short) >= 2 and long == long.strip()
        assert result.long[0] == 0 or not text[result.long[0] - 1].isalnum()
        first, last = min(result.short[0], result.long[0]), max(result.short[1], result.long[1])
        assert any(start <= first and last <= end for start, end in sentences)


# --- Sentences


@pytest.mark.parametrize(
    ("text", "n_sentences"),
    [
        ("No fever. Cough present.", 2),
        ("no fever. cough present.", 2),
        ("Dr. Smith saw a pt. with fever.", 1),
        ("Cultures grew E. coli and S. aureus, e.g. in blood.", 1),
        ("He has hepatitis B. The liver is large.", 2),
        ("Aspirin 2.5 mg was given i.v. in the morning.", 1),
        ("Cough?) Fever!", 2),
        ("Denies chest pain,\nshortness of breath", 1),
        ("Denies chest pain and \nCOPD", 1),
        ("No rash\nCough present", 2),
        ("No rash\r\n\r\ncough present", 2),
        ("No rash\r\ncough or fever", 1),
        ("", 0),
        ("Excluded: - No fever - Cough for 2 - 3 days", 3),
        ("\n- No fever\n- Cough", 3),
        ("x" * 4500, 3),
    ],
)
def test_sentences_end_at_stops_and_lines(text: str, n_sentences: int) -> None:
    assert len(list(iter_sentences(text))) == n_sentences


# --- Abbreviations

DEFINED = {
    # The examples of Schwartz and Hearst (2003), and the kinds of trouble they name.
    "heat shock transcription factor (HSF)": ("HSF", "heat shock transcription factor"),
    "the enzyme activity of 4-methylumbelliferone (4-MU)": ("4-MU", "4-methylumbelliferone"),
    "NF-kB (nuclear factor kappa B) was seen": ("NF-kB", "nuclear factor kappa B"),
    "a gene encoding Gcn5-related N-acetyltransferase (GNAT)": ("GNAT", "Gcn5-related N-acetyltransferase"),
    "with amyotrophic lateral sclerosis (ALS; MIM 105400)": ("ALS", "amyotrophic lateral sclerosis"),
    "angiotensin converting\nenzyme ( ACE, EC 3.4.15.1 )": ("ACE", "angiotensin converting\nenzyme"),
    "Na(+)/H(+) exchanger (NHE) was blocked": ("NHE", "Na(+)/H(+) exchanger"),
    "nonsteroidal anti-inflammatory drugs (NSAIDs)": ("NSAIDs", "nonsteroidal anti-inflammatory drugs"),
    "by 5-hydroxytryptamine (5-HT) receptors": ("5-HT", "5-hydroxytryptamine"),
    "given intravenously (i.v.) once": ("i.v.", "intravenously"),
}


@pytest.mark.parametrize(("text", "expected"), DEFINED.items(), ids=DEFINED)
def test_definitions_are_found_at_their_offsets(text: str, expected: tuple[str, str]) -> None:
    assert definitions_of(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "in 40 patients (12 men)",
        "the dose was doubled (see Methods)",
        "a significant decrease (P < 0.05)",
        "renal failure (n = 5)",
        "Acute injury. (AI) is an abbreviation",
        "Acute injury.\n\nKidneys (AIK)",
        "(AKI) acute kidney injury",
        "AKI (AKI)",
        "the AKI group (AKI)",
        "f(x) and g (x)",
        "unclosed (ABC",
        "tumour suppressor (-TS)",
        "a b (12)",
    ],
)
def test_what_is_no_definition_is_left_alone(text: str) -> None:
    assert definitions_of(text) == []


def test_mentions_get_the_other_form_wherever_they_stand() -> None:
    text = (
        "[AD] is common. [Alzheimer disease] ([AD]) runs in families. [Early-onset AD] and [bad] luck: "
        "[ALZHEIMER\ndisease] again, with [ADs]."
    )
    long, short = {"long_form": "Alzheimer disease"}, {"short_form": "AD"}
    assert attributes_of(text, "abbreviations") == [long, short, long, long, {}, short, long]


def test_the_nearest_definition_before_a_mention_holds() -> None:
    text = "[PD] first. Panic disorder (PD). [PD] now. Parkinson disease (PD). [PD] last. [Panic disorder]."
    assert [result.get("long_form") for result in attributes_of(text, "abbreviations")] == [
        "Panic disorder",
        "Panic disorder",
        "Parkinson disease",
        None,
    ]


@pytest.mark.parametrize(
    "text", ["(" * 200_000, "a (AB) " * 20_000, " " * 200_000, "." * 200_000, "a." * 100_000]
)
def test_hostile_texts_are_read_in_time(text: str) -> None:
    assert definitions_of(f"x{text}\n{text}") == []


# --- Context

N, H, Y, F = "negated", "historical", "hypothetical", "family"
SENTENCES: list[tuple[str, list[str]]] = [
    # negation
    ("No evidence of [pneumonia].", [N]),
    ("The patient denies [chest pain], [fever] or [chills].", [N, N, N]),
    ("He has no [fever] but reports [cough].", [N, ""]),
    ("No [fever]. [Cough] present.", [N, ""]),
    ("no [fever]. [cough] present.", [N, ""]),
    ("No [rash]\n[Cough] present\n", [N, ""]),
    ("Denies [chest pain],\n[dyspnea] and\n[COPD].", [N, N, N]),
    ("[Pulmonary embolism] was ruled out.", [N]),
    ("[Malignancy] is unlikely.", [N]),
    ("Lungs without [effusion]; [cardiomegaly] is seen.", [N, ""]),
    ("She doesn't have [diabetes].", [N]),
    ("She doesn’t have [diabetes].", [N]),
    ("[Fever]: none.", [N]),
    ("Cultures were negative for [MRSA].", [N]),
    ("Neither [ascites] nor [jaundice] was noted.", [N, N]),
    ("[Edema] was not seen.", [N]),
    ("Absence of [hepatotoxicity] was confirmed.", [N]),
    ("Apart from [hypertension], no [comorbidity].", ["", N]),
    ("[Asthma], although no [wheezing] today.", ["", N]),
    # what looks like negation
    ("Not only [nausea] but also [vomiting] occurred.", ["", ""]),
    ("There was no increase in [edema].", [""]),
    ("Gram-negative [sepsis] was treated.", [""]),
    ("[Nephrotoxicity] was not prevented by saline.", [""]),
    ("The note of [Nolan disease] is known.", [""]),
    ("[Acute kidney injury] developed after contrast.", [""]),
    ("[Anemia] secondary to [blood loss].", ["", ""]),
    ("No [bleeding] secondary to [thrombocytopenia].", [N, ""]),
    ("Illness including, but not limited to, [angina].", [""]),
    ("Excluded: - No [fever] - [Cough] for 2 days", [N, ""]),
    # the past
    ("History of [stroke] and [seizures].", [H, H]),
    ("PMH: [COPD], [CHF].", [H, H]),
    ("S/p [myocardial infarction] in 2004.", [H]),
    ("History of [COPD], presents with [dyspnea].", [H, ""]),
    ("She had [measles] in childhood.", [H]),
    ("He had [pneumonia] two years ago.", [H]),
    ("History of present illness: [fever] for two days.", [""]),
    ("Prior to [surgery] she was well.", [""]),
    ("A 3 day history of [dyspnea] and [cough].", ["", ""]),
    ("Two-week history of [fever], history of [stroke].", ["", H]),
    ("3d hx of [dyspnea], hx of [asthma].", ["", H]),
    ("No history of [diabetes].", [N]),
    # possibilities
    ("Return if [fever] or [vomiting] occurs.", [Y, Y]),
    ("Possible [pneumonia] on the left.", [Y]),
    ("Rule out [sepsis].", [Y]),
    ("CT to r/o [appendicitis].", [Y]),
    ("[Sarcoidosis] cannot be excluded.", [Y]),
    ("We cannot rule out [malignancy].", [Y]),
    ("[Deep vein thrombosis] is suspected.", [Y]),
    ("Levodopa may cause [dyskinesia].", [Y]),
    ("She is at risk for [falls], but has no [fracture].", [Y, N]),
    ("Risk factors were [obesity] and smoking.", [""]),
    # relatives
    ("Family history of [breast cancer].", [F]),
    ("His mother had [diabetes], but he has [asthma].", [F, ""]),
    ("Father died of [lung cancer].", [F]),
    ("[Schizophrenia] in her brother.", [F]),
    ("Mother reports [fever] since Monday.", [""]),
    ("She was brought in by her mother with [seizures].", [""]),
    ("No family history of [colon cancer].", [f"{F} {N}"]),
    ("[Sister chromatid exchange] and [leukemia] were studied in sister chromatids.", ["", ""]),
    # more than one
    ("Mother has a history of [depression].", [f"{F} {H}"]),
    ("History of possible [lupus].", [f"{H} {Y}"]),
]


@pytest.mark.parametrize(("sentence", "expected"), SENTENCES, ids=[sentence for sentence, _ in SENTENCES])
def test_context_of_mentions(sentence: str, expected: list[str]) -> None:
    result = attributes_of(sentence, "context")
    assert [" ".join(sorted(entry)) for entry in result] == expected
    assert all(value is True for entry in result for value in entry.values())


def test_overlapping_mentions_and_those_without_a_word_are_judged_alone() -> None:
    text = "No lung cancer.\n\nCough \u200b"
    spans = (
        Span(3, 7, "Organ"),
        Span(3, 14, "Disease"),
        Span(3, 14, "Disease"),
        Span(16, 22, "x"),
        Span(22, 23, "y"),
    )
    (result,) = add_attributes([Document("1", text, spans)], ["context"])
    assert [bool(span.attributes) for span in result.spans] == [True, True, True, False, False]


def test_a_border_inside_of_a_mention_is_none() -> None:
    assert attributes_of("No sign of [St. Anthony. Fire] today.", "context") == [{N: True}]


# --- Steps


def test_an_attribute_that_is_there_stays() -> None:
    span = Span(3, 8, "Disease", attributes=(("certainty", "low"), ("negated", True)))
    (result,) = add_attributes([Document("1", "If fever", (span,))], ["context"])
    assert result.spans[0].attributes == (("certainty", "low"), ("hypothetical", True), ("negated", True))


def test_an_unknown_step_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown step 'negation'; known: abbreviations, context"):
        add_attributes([], ["context", "negation"])


@pytest.mark.parametrize("package", ["spacy", "negspacy.negation"])
def test_a_missing_package_is_named_before_a_document_is_read(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def documents() -> Iterator[Document]:
        raise AssertionError("read too early")
        yield

    _load_rules.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'openmed-ner\[context\]'"):
        add_attributes(documents(), ["abbreviations", "context"])


def test_documents_are_read_one_by_one() -> None:
    seen = []

    def documents() -> Iterator[Document]:
        for number in range(3):
            seen.append(number)
            yield Document(str(number), "No fever", (Span(3, 8, "Disease"),))

    stream = add_attributes(documents(), TEXT_STEPS)
    assert next(stream).spans[0].attributes == ((N, True),)
    assert seen == [0]


# --- Forms and lists


@pytest.mark.parametrize(
    ("text", "n_sentences"),
    [
        ("No rash\r\ncough or fever", 2),
        ("No rash was seen when he was examined in clinic\r\ncough or fever were not reported", 1),
        ("no fever\ncough\nasthma", 3),
        ("Patient has no\nfever and cough", 1),
        ("she took aspirin\nfor fever", 1),
        ("- no fever\n- cough", 2),
    ],
)
def test_short_lines_may_be_items_of_a_list(text: str, n_sentences: int) -> None:
    assert len(list(iter_sentences(text, lists=True))) == n_sentences


@pytest.mark.parametrize(
    "note",
    [
        "[Nausea]: no\n<Pneumonia>: yes\n<Sepsis>: yes\n[Diabetes]: no\n<Hypertension>: yes",
        "[Fever] - no\n<Cough> - yes",
        "[Fever] no\n<cough> yes",
        "[Fever] | No\n<Cough> | Yes",
        "[Fever]\tno\n<Cough>\tyes\n[Asthma]\tNO",
        "[Fever], no\r\n<Cough>, yes",
        "[Fever]. No\n<Cough>. Yes",
        "[Fever] ... no\n<Cough> ... yes",
        "[Asthma] (-)\n<Cough> (+)\n[Fever] [-]",
        "- [fever]: none\n- <cough>\n- [Rash]: absent.",
        "[Fever]: no, <cough>: yes, [rash]: negative",
        "[Fever] no; <cough>",
        "[Fever]? No. <Cough>? Yes.",
        "[Fever]\u2026no\n<Cough>\u2026yes",
        "[Fever]: false\n<Cough>: true",
        "[Fever] ( ) yes (x) no\n<Cough> (x) yes ( ) no",
        "[Fever]: \u2612 no \u2610 yes\n<Cough>: \u2610 no, \u2612 yes",
        "Smoking: no\n<asthma>",
        "Without doubt <gout>",
        "<Asthma> is known. [Fever]: no",
        "He has <gout> (old). Any [fever]? No.",
        "Smoking no\n<Asthma> yes\n[Gout] no",
        "1. [Fever]: No\n2. <Cough>: Yes",
        "no [fever]\n<cough>\n<asthma>",
        "denies [smoking]\n<diabetes mellitus>\n<hypertension>",
        "- no [fever]\n- <cough>",
        "Patient has no\n[fever] and [cough]",
        "<asthma>, no [fever]",
        "He has <asthma>. No\n[wheeze] today",
        "History of [asthma]: no",
        "Temperature: no change. <Cough> persists",
        "[Fever]: -\n<Cough>: +\n[Asthma]: --\n<Gout>: +++",
        "[Fever]: \u2212, <cough>: +; [gout]: \u2717",
        "[Fever] ( )\n<Asthma> (x)\n[Gout]: ( )\n<Cough>: \u2612",
        "[Fever] \u2610 <Cough> \u2612 [Gout] \u2610",
        "[Fever] (   )\n<Asthma> ( X )\n[Gout]: (_)\n<Cough>: \u2705\n[Rash] \u25a1\n[Scurvy]: \u274c",
        "[Fever]: -ve\n<Cough>: +ve\n[HIV] \u2212ve\n<Gout> (+ve)\n[Rash] (-ve)",
        "<Anxiety> (___) and <asthma> ( n = 3 )",
        "- <asthma>\n- <fever>",
        "Problems:\n- <asthma>\n-\n- <fever>",
        "<Asthma> - diagnosed 2010. <Fever>: -38 to +39",
        "<Fever>: +/-\n<Cough> -\n<Gout>: - since May",
        "( ) <Fever> (x) <Cough> ( )",
        "No [fever] (x)\n<Asthma> (1) and <cough> (x) are common",
    ],
)
def test_an_answer_or_a_cue_denies_the_mentions_of_its_line_and_no_others(note: str) -> None:
    """Mentions in square brackets are denied, those in angle brackets are not."""
    wanted = [match[0][0] == "[" for match in re.finditer(r"[\[<][A-Za-z][^\]>]*[\]>]", note)]
    marks = re.sub(r"<([^>]*)>", r"[\1]", note).replace("[-]", "(-)")
    assert ["negated" in attributes for attributes in attributes_of(marks, "context")] == wanted


def test_square_boxes_after_a_name_answer() -> None:
    names = ("Fever", "Asthma", "Gout", "Cough", "Rash")
    text = "Fever [ ]\nAsthma [x]\nGout: []\n[ ] Cough\nNo rash [x]"
    spans = [
        Span(text.lower().index(name.lower()), text.lower().index(name.lower()) + len(name), "D")
        for name in names
    ]
    (document,) = add_attributes([Document("1", text, tuple(spans))], ["context"])
    assert ["negated" in dict(span.attributes) for span in document.spans] == [True, False, True, False, True]


def test_an_answer_is_no_cue_for_another_attribute() -> None:
    (first,) = attributes_of("Family history of [asthma]: no", "context")
    assert first == {"negated": True, "family": True, "historical": True} or first == {
        "negated": True,
        "family": True,
    }


# --- Identifiers


def test_identifiers_come_from_the_folder_or_the_environment(
    tmp_path: Path, no_terminologies: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_diseases(tmp_path, ["malaria"])
    document = marked("[Malaria] and [fever].")
    with pytest.raises(InputError, match="OPENMED_NER_TERMINOLOGIES"):
        add_attributes([document], ["identifiers"])
    (linked,) = add_attributes([document], ["identifiers"], IdentifierOptions(folder))
    assert [dict(span.attributes).get("identifier") for span in linked.spans] == ["MONDO:1", None]
    assert [span.key for span in linked.spans] == [span.key for span in document.spans]
    monkeypatch.setenv("OPENMED_NER_TERMINOLOGIES", str(folder))
    assert list(add_attributes([document], ["identifiers"])) == [linked]


def test_your_own_vocabulary_comes_before_the_terminologies(tmp_path: Path) -> None:
    public = build_diseases(tmp_path / "public", ["malaria", "fever"])
    (tmp_path / "mine.csv").write_text("id,name\nX:1,malaria\n", encoding="utf-8")
    build([], tmp_path / "mine", vocabularies={tmp_path / "mine.csv": "Disease"})
    document = marked("[Malaria] and [fever].")

    def link(steps: list[str], options: IdentifierOptions) -> list[str | bool | None]:
        (linked,) = add_attributes([document], steps, options)
        return [dict(span.attributes).get("identifier") for span in linked.spans]

    own = (tmp_path / "mine",)
    assert link([], IdentifierOptions(public, link=own)) == ["X:1", None]
    assert link(["identifiers"], IdentifierOptions(public, link=own)) == ["X:1", "MONDO:2"]
    assert link([], IdentifierOptions(public, under=("MONDO:2",))) == ["MONDO:2"]
    assert link([], IdentifierOptions(public)) == [None, None]
