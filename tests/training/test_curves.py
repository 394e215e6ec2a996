"""Learning curves: logs read as a run leaves them, and drawn the same way every time."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from openmed_ner.cli.plot import name_runs, plot
from openmed_ner.errors import CorpusFormatError, InputError, MissingExtraError
from openmed_ner.training.curves import COLOURS, Curve, Point, plot_curves, read_log, smooth
from openmed_ner.training.engine.log import LOG, RunLog

PNG = b"\x89PNG\r\n"


def step(number: int, loss: float) -> dict[str, Any]:
    return {
        "step": number,
        "epoch": 0,
        "subwords": 4096 * number,
        "loss": loss,
        "learning_rate": 1e-3,
        "seconds": 0.5 * number,
    }


def evaluation(number: int, **scores: float) -> dict[str, Any]:
    return {"step": number, "epoch": 0, "subwords": 4096 * number, "seconds": 0.5 * number, "scores": scores}


def write_log(folder: Path, *records: dict[str, Any], end: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record) + "\n" for record in records) + end
    (folder / LOG).write_bytes(text.encode())
    return folder


def a_run(folder: Path, *, level: float = 2.0) -> Path:
    """Three hundred steps, every tenth in the log, an evaluation after every hundred."""
    records = []
    for number in range(10, 310, 10):
        records.append(step(number, level + 6 * math.exp(-number / 80) + math.sin(number)))
        if number % 100 == 0:
            records.append(evaluation(number, score=-level, perplexity=math.exp(level), **{"a corpus": 0.5}))
    return write_log(folder, *records)


# --- Reading


def test_steps_and_evaluations_are_told_apart(tmp_path: Path) -> None:
    curve = read_log(write_log(tmp_path, step(1, 3.5), step(2, 3), evaluation(2, score=0.25, f1=1)))
    assert curve == Curve(
        steps=(
            Point(1, 0, 4096, 0.5, {"loss": 3.5, "learning_rate": 1e-3}),
            Point(2, 0, 8192, 1.0, {"loss": 3.0, "learning_rate": 1e-3}),
        ),
        evaluations=(Point(2, 0, 8192, 1.0, {"score": 0.25, "f1": 1.0}),),
    )
    assert curve.names == ("loss", "f1", "score")
    assert curve.points("loss") == curve.steps
    assert curve.points("f1") == curve.evaluations
    assert curve.points("learning_rate") == ()


losses = st.floats(0, 20)


@given(st.lists(losses, min_size=1, max_size=5), st.data())
def test_a_log_cut_anywhere_gives_the_lines_that_are_whole(values: list[float], data: st.DataObject) -> None:
    whole = "".join(json.dumps(step(number, value)) + "\n" for number, value in enumerate(values, 1))
    cut = data.draw(st.integers(0, len(whole)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", lambda path, mode: BytesIO(whole[:cut].encode()))
        curve = read_log(Path("run"))
    n_whole = whole[:cut].count("\n")
    assert len(curve.steps) - n_whole in (0, 1)  # a line may lack nothing but its end
    assert [point.values["loss"] for point in curve.steps] == values[: len(curve.steps)]
    assert curve.truncated == (len(curve.steps) == n_whole and cut > 0 and not whole[:cut].endswith("\n"))


def test_the_log_that_a_run_writes_is_read(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.rewind(steps=0, evaluations=0)
    for record in (step(1, 3.5), step(2, 3), evaluation(2, score=0.25), step(3, 2)):
        log.append(record)
    log.rewind(steps=2, evaluations=1)
    log.append(step(3, 1))
    curve = read_log(tmp_path)
    assert [point.values["loss"] for point in curve.steps] == [3.5, 3, 1]
    assert [point.values for point in curve.evaluations] == [{"score": 0.25}]


def test_zeros_that_a_power_cut_leaves_are_an_unfinished_line(tmp_path: Path) -> None:
    curve = read_log(write_log(tmp_path, step(1, 3.5), end="\0" * 500))
    assert len(curve.steps) == 1 and curve.truncated


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("garbage", "expected a JSON object, found b'garbage"),
        ('{"step": 1', "expected a JSON object"),
        ("[1]", "expected a JSON object"),
        ("[" * 100_000, "expected a JSON object"),
        ("", "expected a JSON object"),
        ("\xff\xfe", "expected a JSON object"),
        ("{}", 'expected a whole number under "step", found None'),
        (json.dumps({**step(1, 2), "step": -1}), 'whole number under "step", found -1'),
        (json.dumps({**step(1, 2), "subwords": 1.5}), 'whole number under "subwords", found 1.5'),
        (json.dumps({**step(1, 2), "epoch": True}), 'whole number under "epoch", found True'),
        (json.dumps({**step(1, 2), "seconds": "1"}), "finite number under \"seconds\", found '1'"),
        (json.dumps(step(1, math.nan)), 'finite number under "loss", found nan'),
        (json.dumps(evaluation(1, score=math.inf)), 'finite number under "score", found inf'),
        (json.dumps({**step(1, 2), "scores": [1]}), r'an object under "scores", found \[1\]'),
        (json.dumps(step(1, 10**400)), 'finite number under "loss", found 1000'),
        ("1" * (1 << 20), "expected a JSON object"),
        (json.dumps(step(0, 2)), "step 0 follows step 1; two runs wrote into this log"),
    ],
    ids=lambda value: value[:30],
)
def test_garbage_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / LOG).write_bytes(
        f"{json.dumps(step(1, 1))}\n{line}\n{json.dumps(step(3, 1))}\n".encode("latin-1")
    )
    with pytest.raises(CorpusFormatError, match=rf"{LOG}, line 2: .*{message}"):
        read_log(tmp_path)


def test_a_folder_without_log_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"cannot read .*log.jsonl: No such file .* name the folder of a run"
    ):
        read_log(tmp_path)


# --- Smoothing


@given(st.lists(losses, min_size=1, max_size=50), st.integers(1, 10), st.integers(1, 60))
def test_a_running_mean_is_the_mean_of_the_last_steps(values: list[float], every: int, steps: int) -> None:
    points = [Point(every * n, 0, 0, 0.0, {"loss": value}) for n, value in enumerate(values, 1)]
    for point, mean in zip(points, smooth(points, "loss", steps=steps), strict=True):
        window = [other.values["loss"] for other in points if point.step - steps < other.step <= point.step]
        assert mean == pytest.approx(sum(window) / len(window), abs=1e-9)


# --- Drawing


def texts(path: Path) -> set[str]:
    """What an SVG says; its letters are outlines, each line of them named in a comment."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    comments = etree.fromstring(path.read_bytes(), parser).iter(etree.Comment)
    return {unescape(comment.text or "").strip().removeprefix("\u200b") for comment in comments}


def strokes(path: Path) -> list[str]:
    """Colours of the lines; black ones cannot be told from the axes."""
    return [colour for colour in COLOURS[:-1] if f"stroke: {colour.lower()}" in path.read_text()]


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    pytest.importorskip("matplotlib")
    return {"first": a_run(tmp_path / "a"), "second": a_run(tmp_path / "b", level=3)}


@pytest.mark.slow
def test_the_same_logs_give_the_same_picture(runs: dict[str, Path], tmp_path: Path) -> None:
    import matplotlib

    pictures = []
    for size in (6.0, 20.0):  # what a user's matplotlibrc would change
        with matplotlib.rc_context({"font.size": size, "svg.hashsalt": str(size)}):
            for name in ("x.svg", "x.png"):
                plot_curves(runs, tmp_path / name)
                pictures.append((tmp_path / name).read_bytes())
            assert matplotlib.rcParams["font.size"] == size
    assert pictures[:2] == pictures[2:]
    assert pictures[0].startswith(b"<?xml") and pictures[1].startswith(PNG)
    assert b"date" not in pictures[0].lower()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "x.svg", "x.png"}


def test_axes_name_what_they_show_and_in_which_unit(runs: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "x.svg"
    plot_curves(runs, target, smooth_steps=50)
    assert {"training loss (nats, mean of the last 50 steps)", "training subwords", "first", "second"} <= {
        text.removesuffix(" (millions)") for text in texts(target)
    }
    assert strokes(target) == [*COLOURS[:2]]
    plot_curves({"only": runs["first"]}, target, x="seconds", y="a corpus")
    assert {"held-out a corpus", "time (minutes)"} <= texts(target)
    assert "only" not in texts(target), "one line needs no legend"
    plot_curves(runs, target, x="step", smooth_steps=1)
    assert {"training loss (nats)", "training steps"} <= texts(target)


def test_names_of_runs_are_shown_as_they_are(runs: dict[str, Path], tmp_path: Path) -> None:
    names = ("_a", "$x$ \\frac", "<&>", "a--b", "tab\t\x01")
    plot_curves(dict.fromkeys(names, runs["first"]), tmp_path / "x.svg")
    shown = texts(tmp_path / "x.svg")
    assert {"_a", "$x$ \\frac", "<&>"} <= shown
    assert any("tab\\t\\x01" in text for text in shown)


def test_many_runs_are_told_apart_by_their_dashes(runs: dict[str, Path], tmp_path: Path) -> None:
    many = {f"run {number}": runs["first"] for number in range(len(COLOURS) + 1)}
    plot_curves(many, tmp_path / "x.svg", smooth_steps=1)
    assert strokes(tmp_path / "x.svg") == [*COLOURS[:-1]]
    assert "stroke-dasharray" in (tmp_path / "x.svg").read_text()


def test_what_cannot_be_drawn_is_said(runs: dict[str, Path], tmp_path: Path) -> None:
    empty = write_log(tmp_path / "empty")
    for arguments, options, message in (
        ((runs, tmp_path / "x.pdf"), {}, r"x.pdf: expected a name that ends with .svg or .png"),
        (
            (runs, tmp_path / "x.svg"),
            {"x": "epoch"},
            "unknown axis 'epoch'; expected one of subwords, step, seconds",
        ),
        ((runs, tmp_path / "x.svg"), {"smooth_steps": 0}, "over 1 step or more, found 0"),
        (({}, tmp_path / "x.svg"), {}, "there is no run to plot"),
        (
            (runs, tmp_path / "x.svg"),
            {"y": "f1"},
            "log.jsonl has no 'f1'; it has loss, a corpus, perplexity, score",
        ),
        (({"x": empty}, tmp_path / "x.svg"), {}, "has no 'loss'; it has nothing yet"),
        ((runs, tmp_path / "no" / "x.svg"), {}, "cannot write .*x.svg: No such file"),
    ):
        with pytest.raises(InputError, match=message):
            plot_curves(*arguments, **options)  # type: ignore[arg-type]
    assert not list(tmp_path.glob("*x.*"))


def test_a_missing_matplotlib_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"matplotlib is not installed.*openmed-ner\[plots\]"):
        plot_curves({"a": a_run(tmp_path / "a")}, tmp_path / "x.svg")


@pytest.mark.slow
def test_drawing_needs_neither_torch_nor_pyplot(runs: dict[str, Path], tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import openmed_ner.cli.plot as cli\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"cli.plot([Path({str(runs['first'])!r})], Path({str(tmp_path / 'x.png')!r}), 'step', 'score', 1)\n"
        "print(*{'torch', 'matplotlib.pyplot', 'tkinter'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
    assert (tmp_path / "x.png").read_bytes().startswith(PNG)


# --- The command


def test_runs_are_called_by_as_much_of_their_path_as_is_needed(tmp_path: Path) -> None:
    alone, twins = [tmp_path / "a"], [tmp_path / "a" / "seed", tmp_path / "b" / "seed"]
    assert [*name_runs(alone)] == ["a"]
    assert [*name_runs([*alone, tmp_path / "b"])] == ["a", "b"]
    assert name_runs(twins) == {"a/seed": twins[0], "b/seed": twins[1]}
    with pytest.raises(InputError, match="a is given 2 times; name every run once"):
        name_runs([tmp_path / "a", tmp_path / "b" / ".." / "a"])


def test_the_command_draws_what_it_is_told(runs: dict[str, Path], tmp_path: Path) -> None:
    app = typer.Typer()
    app.command("plot")(plot)
    target = tmp_path / "x.svg"
    app([*map(str, runs.values()), "-o", str(target), "--x", "step", "--y", "score"], standalone_mode=False)
    assert {"a", "b", "held-out score", "training steps"} <= texts(target)
    with pytest.raises(typer.BadParameter, match="'epoch' is not one of 'subwords', 'step', 'seconds'"):
        app([str(runs["first"]), "-o", str(target), "--x", "epoch"], standalone_mode=False)
    with pytest.raises(InputError, match="has no 'f1'"):
        app([str(runs["first"]), "-o", str(target), "--y", "f1"], standalone_mode=False)
