"""The commands of pretraining and of studies, from passages to a curve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from commands import invoke
from openmed_ner.bundle import open_bundle
from openmed_ner.errors import BundleError, InputError, RecipeError
from openmed_ner.formats.jsonl import write_jsonl
from sentences import only

SETTINGS = (
    "window=40",
    "head_subwords=200",
    "held_out=3",
    "lora.rank=2",
    "schedule.epochs=2",
    "schedule.batch_subwords=160",
    "schedule.precision=fp32",
)
FLAGS = [part for setting in SETTINGS for part in ("--set", setting)]


def read_json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_from_passages_to_a_tagger(
    backbone: Path, passages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapted = tmp_path / "adapted"
    command = ("pretrain", passages, "-o", adapted, "--backbone", "tiny", "--subwords", "1000", *FLAGS)
    invoke(*command)
    said = capsys.readouterr()
    assert "parameters trained" in said.out and "held-out pieces" in said.out
    assert "held-out perplexity" in said.err
    invoke(*command, "--resume", "--json")
    found = read_json(capsys)
    assert found["subwords"] == pytest.approx(1000, rel=0.3)
    assert found["held_out"]["after"]["perplexity"] > 1
    bundle = open_bundle(adapted / "bundle")
    assert bundle.manifest.heads == () and bundle.manifest.name == "adapted"

    for name in ("train", "dev"):
        with (tmp_path / f"{name}.jsonl").open("w") as file:
            write_jsonl(only("Disease"), file)
    data = ("--data", tmp_path / "train.jsonl", "--dev", tmp_path / "dev.jsonl", "--set", "leave_out=nothing")
    flags = ("--set", "window=64", "--set", "overlap=8", "--set", "schedule.epochs=1")
    tuned = tmp_path / "tuned"
    invoke("train", "-o", tuned, *data, "--backbone", "tiny", "--adapted", adapted / "bundle", *flags)
    capsys.readouterr()
    invoke("bundles", "info", tuned / "bundle")
    assert "adapted before: adapted (merged)" in capsys.readouterr().out
    pytest.importorskip("matplotlib")
    invoke("plot", adapted, "-o", tmp_path / "curve.svg", "--y", "perplexity")
    assert "<svg" in (tmp_path / "curve.svg").read_text()


def test_an_adapted_encoder_is_described_and_does_not_tag(
    backbone: Path, passages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke("pretrain", passages, "-o", tmp_path, "--backbone", "tiny", "--subwords", "200", *FLAGS)
    for verb in ("info", "verify"):
        capsys.readouterr()
        invoke("bundles", verb, tmp_path / "bundle")
        assert "adapted encoder without heads" in capsys.readouterr().out
    for command in (("tag", "--bundle"), ("evaluate",), ("bundles", "export", "-o", tmp_path / "x")):
        with pytest.raises(BundleError, match="without heads"):
            invoke(*command, tmp_path / "bundle")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--set", "method=half"), "method = 'half': expected one of lora, full"),
        (("--subwords", "0"), "subwords = 0"),
        (("--set", "licences=mine"), "licences = 'mine': expected one of all, permissive"),
        (("--set", "weights.nowhere=2"), r"weights\.nowhere: unknown source; expected source-0"),
        (("--set", "weights.nowhere=-2"), r"weights\.nowhere = -2.0: expected 0 or more"),
        (("--set", "masking.share=1.5"), "masking.share = 1.5"),
        (("--set", "window=500"), "at most 96"),
    ],
)
def test_mistakes_are_named(
    flags: tuple[str, ...], message: str, backbone: Path, passages: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=message):
        invoke("pretrain", passages, "-o", tmp_path, "--backbone", "tiny", "--set", "window=40", *flags)


def test_a_study_is_listed_before_it_is_begun(
    backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "adapt.toml").write_text('backbone = "tiny"\n')
    study = '[adaptations]\nlora = "adapt.toml"\n[models.m]\ncorpora = ["ncbi-disease"]\n'
    (tmp_path / "study.toml").write_text(study + '[training]\nbackbone = "tiny"\n')
    command = ("reproduce", tmp_path / "study.toml", "-o", tmp_path / "out")
    invoke(*command, "--dry-run")
    listed = capsys.readouterr().out
    assert "to do      encoders/lora" in listed and "to do      models/m/none/seed-0" in listed
    assert "waits      models/m/lora/seed-0" in listed
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="needs prepared passages"):
        invoke(*command)
