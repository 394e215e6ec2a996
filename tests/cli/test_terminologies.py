from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from commands import invoke
from openmed_ner.cli import terminologies as command
from openmed_ner.errors import InputError
from openmed_ner.terminologies import Matcher, open_lexicon, read_words
from openmed_ner.text import Document


def test_terminologies_are_compiled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "cl-2026-03.tsv.xz"
    with lzma.open(table, "wt", encoding="utf-8") as file:
        file.write("id\tname\tsynonyms\nCL:1\tneuron\tnerve cell\n")
    texts = "Dorsal root ganglion (DRG). Neurons, or nerve cells (NC). Nerve cells (NC). A nerve cell (NC)."
    (tmp_path / "texts.txt").write_text(texts, encoding="utf-8")

    output = tmp_path / "out"
    invoke("terminologies", "build", table, "--passages", tmp_path / "texts.txt", "-o", output)
    assert "CellType: 1 concepts, 3 names in the lexicon (1 short forms added" in capsys.readouterr().out
    lexicon, _ = open_lexicon(output)
    _, words, spaced = read_words("NC neurons")
    assert Matcher(lexicon).tag(words, spaced).any(axis=1).tolist() == [True, True]

    invoke("terminologies", "build", table, "-o", output, "--json")
    assert json.loads(capsys.readouterr().out)["texts"] == {"texts": 0, "definitions": 0}


def test_held_out_documents_do_not_count_for_the_precision_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    leak = "A neuron of the dorsal root ganglion was seen in every single section of it"
    splits = {
        "train": (
            Document("1", f"{leak}."),
            Document("2", "Another neuron was not seen in any of the sections."),
        ),
        "test": (Document("9", f"{leak}."),),
    }
    monkeypatch.setattr(command, "load_splits", lambda name: splits)
    monkeypatch.setattr(command, "load_guarded", lambda names: [])
    training = command._load_training(["jnlpba"])
    assert [document.id for document in training.documents["CellType"]] == ["2"]
    assert not training.documents["Disease"]


def test_another_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(InputError, match="choose another folder"):
        invoke("terminologies", "build", tmp_path, "-o", tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").exists()
