"""Tagging, correction in an annotation tool, and training on the result form a loop."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import openmed_ner
from commands import invoke
from openmed_ner.bundle import Bundle
from openmed_ner.formats import FOLDER_WRITERS, WRITERS, read_documents, write_documents
from openmed_ner.text import Document
from sentences import only
from tiny import make_recipe

Correct = Callable[[str], str]
GOLD = only("Disease")
WRONG = "Chemical"
"""Label that the model gives, and people correct."""


def correct_label_studio(content: str) -> str:
    """What Label Studio exports after its user accepted all predictions under another label."""
    tasks = json.loads(content)
    for number, task in enumerate(tasks, start=1):
        (prediction,) = task["predictions"]
        results = [{**result, "origin": "prediction"} for result in prediction["result"]]
        for result in results:
            result["value"]["labels"] = ["Disease"]
        task.update(id=number, annotations=[{"id": number, "was_cancelled": False, "result": results}])
    return json.dumps(tasks)


def correct_doccano(content: str) -> str:
    records = [json.loads(line) for line in content.splitlines()]
    return "\n".join(
        json.dumps(
            {**record, "id": number, "label": [[start, end, "Disease"] for start, end, _ in record["label"]]}
        )
        for number, record in enumerate(records, start=1)
    )


def correct_prodigy(content: str) -> str:
    records = [json.loads(line) for line in content.splitlines()]
    for record in records:
        record.update(answer="accept", _input_hash=1)
        record["spans"] = [{**span, "label": "Disease", "score": None} for span in record["spans"]]
    return "\n".join(map(json.dumps, records))


def correct_webanno(content: str) -> str:
    return content.replace(WRONG, "Disease")


TOOLS: dict[str, Correct] = {
    "label-studio": correct_label_studio,
    "doccano": correct_doccano,
    "prodigy": correct_prodigy,
    "webanno": correct_webanno,
    "xmi": correct_webanno,
}


def go_through(tool: str, documents: list[Document], folder: Path) -> list[Document]:
    """Write tagged documents for a tool, correct them there, and read its export."""
    if tool in FOLDER_WRITERS:
        FOLDER_WRITERS[tool](documents, folder)
        paths = [next(folder.glob(f"{document.id}.*")) for document in documents]
    else:
        paths = [folder / "tasks"]
        with paths[0].open("w", encoding="utf-8") as file:
            WRITERS[tool](documents, file, exact=False)
    for path in paths:
        path.write_text(TOOLS[tool](path.read_text(encoding="utf-8")), encoding="utf-8")
    return [document for path in paths for document in read_documents(path, format=tool, source=path.name)]


@pytest.fixture
def tagged() -> list[Document]:
    """Documents as a tagger returns them, with a wrong label."""
    return [
        document.with_spans(
            replace(span, label=WRONG, score=0.5, corpus="notes", attributes=(("negated", True),))
            for span in document.spans
        )
        for document in GOLD
    ]


@pytest.mark.parametrize("tool", TOOLS)
def test_corrected_documents_are_gold(tool: str, tagged: list[Document], tmp_path: Path) -> None:
    assert go_through(tool, tagged, tmp_path) == [*GOLD]


def test_a_model_learns_from_the_corrections(backbone: Path, tagged: list[Document], tmp_path: Path) -> None:
    corrected = go_through("label-studio", tagged, tmp_path)
    recipe = replace(
        make_recipe(backbone, epochs=30, patience=30, learning_rate=1e-2), leave_out="nothing"
    )  # it may train on what it is scored on
    trained = openmed_ner.train(tmp_path / "mine", documents=corrected, dev=corrected, recipe=recipe)
    tagger = openmed_ner.load(trained.folder)
    found = list(tagger.pipe(corrected))
    assert [[span.key for span in document.spans] for document in found] == [
        [span.key for span in document.spans] for document in GOLD
    ]
    assert go_through("label-studio", found, tmp_path) == corrected


def write_notes(folder: Path) -> None:
    folder.mkdir()
    for document in GOLD:
        (folder / f"{document.id}.txt").write_text(document.text, encoding="utf-8")


def annotate(tasks: Path) -> None:
    """Correct all tasks of Label Studio: the gold replaces what the model marked."""
    gold = {document.text: document for document in GOLD}
    found = read_documents(tasks, format="label-studio")
    annotated = [replace(document, spans=gold[document.text].spans) for document in found]
    write_documents(annotated, tasks, format="label-studio")


def test_the_loop_goes_from_suggestions_to_what_they_gained(
    adapter_bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = adapter_bundle.folder
    write_notes(tmp_path / "notes")
    tasks, held_out = tmp_path / "tasks.json", tmp_path / "test.jsonl"
    write_documents(GOLD[:2], tmp_path / "seed.jsonl")
    write_documents(GOLD[4:6], held_out)

    command = ["suggest", tmp_path / "notes", "--bundle", start, "--types", "Disease", "--count", "4"]
    invoke(*command, "--without", tmp_path / "seed.jsonl", "--without", held_out, "-o", tasks, "--explain")
    suggested = {document.text for document in read_documents(tasks, format="label-studio")}
    assert suggested == {document.text for document in (*GOLD[2:4], *GOLD[6:])}
    assert "least sure" in capsys.readouterr().out

    annotate(tasks)
    settings = ["--set", "schedule.epochs=2", "--set", 'leave_out="nothing"']
    run = ["--start", start, "--dev", tasks, "--test", held_out, "-o", tmp_path / "run", *settings]
    invoke("train", "--data", tasks, *run)
    assert re.search(r"^test: F1 [\d.]+ after training, 100\.00 before: gain ", capsys.readouterr().out, re.M)
    assert openmed_ner.load(tmp_path / "run/bundle").corpora == ("tasks",)
