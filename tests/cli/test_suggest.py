from __future__ import annotations

from pathlib import Path

import pytest

from commands import invoke
from openmed_ner.bundle import Bundle
from openmed_ner.errors import InputError
from openmed_ner.formats import read_documents, write_documents
from sentences import DOCUMENTS, only


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.csv"
    path.write_text("patient,note\n" + "".join(f'{each.id},"{each.text}"\n' for each in DOCUMENTS))
    return path


@pytest.fixture
def suggest(notes: Path, runtime_bundle: Bundle) -> tuple[str | Path, ...]:
    return (
        "suggest",
        notes,
        "--text-column",
        "note",
        "--id-column",
        "Patient",
        "--bundle",
        runtime_bundle.folder,
    )


@pytest.mark.parametrize("tool", ["label-studio", "prodigy", "doccano", "brat", "webanno"])
def test_suggestions_are_annotated_for_a_tool(
    suggest: tuple[str | Path, ...], tool: str, tmp_path: Path
) -> None:
    invoke(*suggest, "--types", "Disease", "--count", "8", "--to", tool, "-o", tmp_path / "tasks")
    paths = [tmp_path / "tasks"] if tool != "webanno" else sorted((tmp_path / "tasks").iterdir())
    found = [document for path in paths for document in read_documents(path, format=tool)]
    spans = {document.text: {span.key for span in document.spans} for document in found}
    assert spans == {document.text: {span.key for span in document.spans} for document in only("Disease")}
    if tool != "webanno":
        assert {document.id for document in found} == {document.id for document in DOCUMENTS}


def test_annotated_documents_are_not_suggested(
    suggest: tuple[str | Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_documents(only("Disease")[:6], tmp_path / "done.jsonl")
    invoke(*suggest, "--without", tmp_path / "done.jsonl", "--to", "jsonl")
    captured = capsys.readouterr()
    (tmp_path / "out.jsonl").write_text(captured.out)
    assert {document.id for document in read_documents(tmp_path / "out.jsonl")} == {"6", "7"}
    assert "2 documents suggested; there are no more that are new" in captured.err


def test_a_table_gives_the_reasons(
    suggest: tuple[str | Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke(*suggest, "--count", "3", "-o", tmp_path / "tasks.json", "--explain")
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["doubt", "words", "places", "document", "least", "sure"]
    doubts = [float(row.split()[0]) for row in rows]
    assert len(rows) == 3 and doubts == sorted(doubts, reverse=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--explain"], "--output"),
        (["--to", "brat"], "writes a folder"),
        (["--from", "jsonl"], "is for tables"),
        (["--id-column", "note"], "one name twice"),
    ],
)
def test_contradictions_are_refused(
    suggest: tuple[str | Path, ...], options: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        invoke(*suggest, *options)


def test_the_progress_of_tagging_is_shown_on_a_terminal(
    suggest: tuple[str | Path, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    invoke(*suggest, "-o", tmp_path / "tasks.json")
    assert "documents, " not in capsys.readouterr().err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    invoke(*suggest, "-o", tmp_path / "tasks.json")
    assert f"{len(DOCUMENTS)} documents, " in capsys.readouterr().err
