"""The commands that carry a study to another machine and its results back."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import invoke
from openmed_ner.errors import InputError
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.training.transport.parts import write_parts
from tiny import CORPORA

STUDY = """
[corpora.diseases]
train = "diseases.jsonl"
dev = "diseases.jsonl"
test = "diseases.jsonl"
[models.one]
corpora = ["diseases"]
[training]
backbone = "tiny"
"""


def test_a_study_with_an_adapter_is_packed_with_weights_of_16_bits(
    backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "diseases.jsonl").open("w") as file:
        write_jsonl(CORPORA[0].train, file)
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "present.txt").write_text("torch==2.11.0\n")
    options = ["--no-wheels", "--part-size", "500KB", "--present", tmp_path / "present.txt"]
    invoke("pack", tmp_path / "study.toml", "-o", tmp_path / "packed", *options)
    output = capsys.readouterr().out
    assert "tiny: weights rounded by 0.1" in output and "packages that are missing there: " in output
    assert "packed.pyz" in output and "packed-1-of-" in output
    invoke("pack", tmp_path / "study.toml", "-o", tmp_path / "packed", *options, "--weights", "int8")
    assert "tiny: weights rounded by 0.1" in capsys.readouterr().out, "not coarser, for the adapter's sake"
    invoke("pack", tmp_path / "study.toml", "-o", tmp_path / "packed", *options, "--weights", "exact")
    assert "tiny: exact weights" in capsys.readouterr().out
    assert sorted(path.suffix for path in (tmp_path / "packed").iterdir())[-1] == ".pyz"
    with pytest.raises(InputError, match="size '60 apples'"):
        invoke("pack", tmp_path / "study.toml", "-o", tmp_path / "packed", "--part-size", "60 apples")


def test_missing_files_of_results_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="no files of results"):
        invoke("unpack", tmp_path, "-o", tmp_path / "home")
    (tmp_path / "archive").write_bytes(bytes(2000))
    first, *_ = write_parts(tmp_path / "archive", tmp_path / "results", archive="records", size=5000)
    invoke("unpack", first, "-o", tmp_path / "home")
    assert "missing: records-2-of-3.part, records-3-of-3.part" in capsys.readouterr().err
