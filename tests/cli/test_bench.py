from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from openmed_ner.bundle import Bundle
from openmed_ner.cli.main import main
from openmed_ner.inference.speed import N_SINGLE, measure_speed
from openmed_ner.inference.tagger import Tagger
from openmed_ner.plots import printable, save_figure
from pages import Terminal
from sentences import DOCUMENTS

TEXTS = [document.text for document in DOCUMENTS]


def test_speed_is_of_what_was_tagged(runtime_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    tagged: list[str] = []
    pipe, call = Tagger.pipe, Tagger.__call__

    def count(function: Callable[..., object]) -> Callable[..., object]:
        def counted(self: Tagger, texts: list[str] | str, **options: object) -> object:
            tagged.extend([texts] if isinstance(texts, str) else texts)
            return function(self, texts, **options)

        return counted

    monkeypatch.setattr(Tagger, "pipe", count(pipe))
    monkeypatch.setattr(Tagger, "__call__", count(call))
    speed, tagger = measure_speed(lambda: Tagger.load(runtime_bundle), TEXTS, rounds=2)
    together = 2 * len(TEXTS)
    assert len([text for text in tagged if text in TEXTS]) >= together + 2 * min(N_SINGLE, len(TEXTS))
    assert speed.documents == len(TEXTS) and speed.rounds == 2
    words = sum(len(text.replace(".", " .").replace(",", " ,").split()) for text in TEXTS)
    assert speed.subwords >= words, "a word is at least one subword"
    assert speed.documents_per_second == pytest.approx(len(TEXTS) / speed.seconds)
    assert 0 < speed.p50 <= speed.p99 and speed.start_up > 0
    assert tagger.manifest.name == runtime_bundle.manifest.name


def run(terminal: Terminal, line: str) -> str:
    printed = terminal.run(line)
    assert terminal.status == 0, printed
    return printed


def test_the_command_says_what_it_measured(
    runtime_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmed_ner.cli.bench.ENERGY_SECONDS", 0.01)
    terminal = Terminal(tmp_path, monkeypatch)
    (tmp_path / "texts").mkdir()
    for number, text in enumerate(TEXTS):
        (tmp_path / f"texts/{number}.txt").write_text(text)
    bundle = runtime_bundle.folder
    printed = run(terminal, f"openmed-ner bench {bundle} {bundle} --data texts --rounds 1")
    assert printed.count("documents/s") == 2 and "Wh" not in printed
    record = json.loads(run(terminal, f"openmed-ner bench {bundle} --data texts --rounds 1 --energy --json"))
    (row,) = record["bundles"]
    assert row["sha256"] == runtime_bundle.sha256 and row["documents"] == len(TEXTS)
    energy = row["energy"]
    assert energy["documents"] >= len(TEXTS) and energy["mode"] in ("constant", "counter")
    assert energy["wh_per_1000_documents"] == pytest.approx(1e6 * energy["kwh"] / energy["documents"])
    assert row["f1"] is None, "it was never scored"
    assert {"commit", "versions", "host"} <= set(record)
    assert str(bundle) not in json.dumps(record), "no path of this machine"


@pytest.mark.slow
def test_f1_is_drawn_against_energy_or_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openmed_ner.cli.bench.ENERGY_SECONDS", 0.01)
    monkeypatch.setattr("openmed_ner.cli.bench.COPIES", 2)
    monkeypatch.setattr("openmed_ner.cli.bench.read_examples", lambda: DOCUMENTS[:1])
    terminal = Terminal(tmp_path, monkeypatch)
    printed = run(terminal, "openmed-ner bench --rounds 1 --energy --chart chart.svg")
    assert "mean test F1" in printed
    assert (tmp_path / "chart.svg").read_text().startswith("<?xml")
    assert "mean test F1" in run(terminal, "openmed-ner bench --rounds 1 --chart speed.svg")
    assert (tmp_path / "speed.svg").read_bytes() != (tmp_path / "chart.svg").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "empty.jsonl"], "there is no document to tag"),
        (["--energy", "--chart", "x.svg", "--rounds", "1", "BUNDLE"], "has no test scores"),
        (["--chart", "x.svg", "--rounds", "1", "BUNDLE"], "has no test scores"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    runtime_bundle: Bundle,
    tmp_path: Path,
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("openmed_ner.cli.bench.ENERGY_SECONDS", 0.01)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").write_text("")
    arguments = [str(runtime_bundle.folder) if each == "BUNDLE" else each for each in options]
    monkeypatch.setattr("sys.argv", ["openmed-ner", "bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and message in capsys.readouterr().err
    assert not (tmp_path / "x.svg").exists()


def test_a_figure_is_the_same_bytes_again(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        save_figure(lambda axes: axes.plot([1, 2], [3, 4]), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert printable("_a\x00") == "\u200b_a\\x00" and printable("b") == "b"
