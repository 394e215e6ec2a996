"""A file that ends too early gives an error, or a correct read of what it still holds: nothing in silence."""

from __future__ import annotations

from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats import FOLDER_WRITERS, READERS, REGISTRY, read_documents, tagged_writers
from openmed_ner.text import Document, Span

DOCUMENTS = [
    Document(
        "1", "Aspirin caused gastric ulcer. It healed.", (Span(0, 7, "Chemical"), Span(15, 28, "Disease"))
    ),
    Document("2", "Naïve patients had no α-thalassaemia. None.", (Span(22, 36, "Disease"),)),
    Document("3", "Warfarin, again. End.", (Span(0, 8, "Chemical"),)),
]
N_CUTS = 60


def read_cut(name: str, content: bytes) -> tuple[list[Document], list[InputError]]:
    documents: list[Document] = []
    errors: list[InputError] = []
    linewise = REGISTRY[name].by_line
    file = TextIOWrapper(
        BytesIO(content), encoding="utf-8", errors="surrogateescape" if linewise else "strict", newline="\n"
    )
    try:
        for document in READERS[name](file, source="x", on_bad=errors.append):
            documents.append(document)
    except (CorpusFormatError, UnicodeDecodeError) as error:
        errors.append(error if isinstance(error, InputError) else InputError(str(error)))
    return documents, errors


def cuts(content: bytes) -> list[int]:
    return sorted({len(content) * number // N_CUTS for number in range(N_CUTS)} | {len(content) - 1})


def require_correct(documents: list[Document]) -> None:
    """The last document may end early, since most formats do not say where it should end."""
    for document, original in zip(documents, DOCUMENTS, strict=False):
        if document is not documents[-1]:
            assert (document.text, document.spans) == (original.text, original.spans)
        assert original.text.startswith(document.text.strip())
    assert len(documents) <= len(DOCUMENTS)


@pytest.mark.parametrize("name", [name for name in tagged_writers() if name in READERS])
def test_a_file_that_is_cut_off_is_an_error_or_a_correct_read(name: str) -> None:
    tagged_writers()[name](DOCUMENTS, file := StringIO(newline="\n"))
    content = file.getvalue().encode()
    assert [document.text for document in read_cut(name, content)[0]] == [entry.text for entry in DOCUMENTS]
    for cut in cuts(content):
        documents, errors = read_cut(name, content[:cut])
        require_correct(documents)
        assert documents or errors or not content[:cut].count(b"\n"), "the file seems empty"


@pytest.mark.parametrize("name", [name for name in tagged_writers() if name in READERS])
def test_a_line_that_is_lost_costs_its_document_or_is_told(name: str) -> None:
    tagged_writers()[name](DOCUMENTS, file := StringIO(newline="\n"))
    lines = file.getvalue().splitlines(keepends=True)
    originals = [document.text for document in DOCUMENTS]
    for index in range(len(lines)):
        documents, errors = read_cut(name, "".join(lines[:index] + lines[index + 1 :]).encode())
        texts = [document.text for document in documents]
        assert errors or len(texts) in (2, 3)
        n_unknown = sum(text not in originals for text in texts)
        assert n_unknown <= 1


def test_a_cut_note_of_brat_costs_no_other_note(tmp_path: Path) -> None:
    FOLDER_WRITERS["brat"](DOCUMENTS, tmp_path)
    for name in ("2.ann", "2.txt"):
        content = (tmp_path / name).read_bytes()
        for cut in range(0, len(content), 3):
            (tmp_path / name).write_bytes(content[:cut])
            errors: list[InputError] = []
            documents = list(read_documents(tmp_path, format="brat", on_bad=errors.append))
            texts = {document.id: document.text for document in documents}
            assert (texts["1"], texts["3"]) == (DOCUMENTS[0].text, DOCUMENTS[2].text)
            assert DOCUMENTS[1].text.startswith(texts.get("2", ""))
            assert "2" in texts or errors
        (tmp_path / name).write_bytes(content)
