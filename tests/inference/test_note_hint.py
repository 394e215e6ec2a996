from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator

from openmed_ner.inference.note_hint import FIRST, find_hint, watch_notes
from openmed_ner.text import Document

NOTE = "CC: cough\nHPI: 58 y/o M c/o cough, denies fever.\nMeds: lisinopril 20 mg daily\n"
CORPORA = ("ncbi-disease", "bc2gm")
ARTICLES = [Document(str(number), "Aspirin caused gastric ulcer.") for number in range(FIRST)]


def echo(documents: Iterable[Document]) -> Iterator[Document]:
    yield from documents


def test_a_note_among_the_first_documents_is_named() -> None:
    hint = find_hint([*ARTICLES[1:], Document("note.txt", NOTE)], CORPORA)
    assert hint is not None and hint.startswith("note.txt reads like a clinic note")
    assert str(find_hint([Document("0", NOTE)], CORPORA)).startswith("This text reads")


def test_later_documents_are_not_looked_at() -> None:
    assert find_hint([*ARTICLES, Document("note.txt", NOTE)], CORPORA) is None


def test_a_model_of_own_data_may_know_notes() -> None:
    assert find_hint([Document("note.txt", NOTE)], (*CORPORA, "train")) is None


def test_a_run_has_one_hint_and_all_its_documents() -> None:
    told: list[str] = []
    documents = [Document(str(number), NOTE) for number in range(1, 9)]
    tag = watch_notes(echo, CORPORA, told.append)
    # A run may call its tag function block by block.
    assert [*tag(documents[:2]), *tag(documents[2:])] == documents
    assert [hint.split()[0] for hint in told] == ["1"]


def test_a_text_that_is_no_note_does_not_load_the_catalog() -> None:
    code = (
        "import sys\n"
        "from openmed_ner.inference.note_hint import find_hint\n"
        "from openmed_ner.text import Document\n"
        "find_hint([Document('1', 'Aspirin.')], ['bc2gm']); print('openmed_ner.corpora' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
