"""The command as users run it, with its exit status and both its streams.

What depends on how Python starts and ends runs in a process of its own: the real streams, help, Ctrl-C, the
demonstration. The rest runs in this process, through the same entry point.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import openmed_ner.data
from commands import call_main, invoke
from definitions import HEAD, MENTIONS
from definitions import TEXT as TEXT_WITH_DEFINITION
from lexicons import build_diseases
from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.cli.doctor import list_sources
from openmed_ner.data import read_examples
from openmed_ner.errors import InputError, RunError
from openmed_ner.formats import WRITERS, read_documents
from openmed_ner.formats.brat import write_brat
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.inference.tagger import Tagger
from openmed_ner.text import Document, Span
from sentences import DOCUMENTS, only

TEXT = DOCUMENTS[0].text
EXAMPLES = Path(openmed_ner.data.__file__).parent / "examples"


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide screen without colours."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")


def run(*arguments: str | Path, stdin: bytes = b"", status: int = 0) -> subprocess.CompletedProcess[bytes]:
    words, stdout, stderr = ["openmed-ner", *map(str, arguments)], io.BytesIO(), io.BytesIO()
    returned = call_main(words, stdin, stdout, stderr)
    done = subprocess.CompletedProcess(words, returned, stdout.getvalue(), stderr.getvalue())
    return require(done, status)


def start(*arguments: str | Path, stdin: bytes = b"", status: int = 0) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-W", "error", "-m", "openmed_ner"]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return require(done, status)


def require(done: subprocess.CompletedProcess[bytes], status: int) -> subprocess.CompletedProcess[bytes]:
    """Expect an exit status, and no traceback whatever it is."""
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    assert done.returncode == status, (done.returncode, done.stderr.decode())
    return done


@pytest.fixture
def tag(runtime_bundle: Bundle) -> tuple[str | Path, ...]:
    return ("tag", "--bundle", runtime_bundle.folder)


def lines(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_file_is_tagged(tag: tuple[str | Path, ...], tmp_path: Path) -> None:
    path = tmp_path / "abstract.txt"
    path.write_bytes(TEXT.encode())
    (line,) = lines(run(*tag, path, "--to", "jsonl"))
    assert line["text"] == TEXT
    assert [span["text"] for span in line["spans"]] == ["Cisplatin", "nephrotoxicity"]  # type: ignore[attr-defined]
    assert line["coverage"] == {"characters": len(TEXT), "windows": 1, "complete": True}
    table = run(*tag, path).stdout.decode()
    assert "abstract.txt  (2 entities)" in table and "nephrotoxicity" in table


def test_standard_input_is_tagged(tag: tuple[str | Path, ...]) -> None:
    # Once through the real streams of a process.
    for call, arguments in ((start, ()), (run, ("-",))):
        (line,) = lines(call(*tag, *arguments, "--to", "jsonl", stdin=TEXT.encode()))
        assert (line["id"], line["text"]) == ("stdin", TEXT)
    stream = "".join(json.dumps({"text": each.text}) + "\n" for each in DOCUMENTS).encode()
    found = lines(run(*tag, "--from", "jsonl", "--to", "jsonl", stdin=stream))
    assert [line["text"] for line in found] == [each.text for each in DOCUMENTS]


def test_a_folder_is_tagged_in_order_of_names(tag: tuple[str | Path, ...], tmp_path: Path) -> None:
    (tmp_path / "in/deeper").mkdir(parents=True)
    (tmp_path / "in/b.txt").write_text("No effect.")
    (tmp_path / "in/deeper/a.txt").write_text(TEXT)
    (tmp_path / "in/c.jsonl").write_text(json.dumps({"id": "x", "text": TEXT}))
    (tmp_path / "in/ignored.pdf").write_bytes(b"\xff")
    output = tmp_path / "out.jsonl"
    run(*tag, tmp_path / "in", "--to", "jsonl", "-o", output)
    assert [each.id for each in read_documents(output)] == ["b.txt", "x", "deeper/a.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.jsonl"]


@pytest.mark.parametrize("target", ["jsonl", "csv", "conll", "pubtator", "bioc-xml", "bioc-json", "brat"])
def test_every_format_written_reads_back_with_the_same_entities(
    tag: tuple[str | Path, ...], tmp_path: Path, target: str
) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out"
    source.write_text("".join(json.dumps({"id": each.id, "text": each.text}) + "\n" for each in DOCUMENTS))
    invoke(*tag, source, "--to", target, "-o", output)
    found = {each.id: each for each in read_documents(output, format=target)}
    tagged = {each.id: each for each in Tagger.load(tag[2]).pipe(read_documents(source))}
    assert found.keys() == tagged.keys() and sum(len(each.spans) for each in tagged.values()) > 10
    for name, document in tagged.items():
        assert found[name].text == document.text
        assert {span.key for span in found[name].spans} == {span.key for span in document.spans}
        if target not in ("conll", "pubtator"):
            assert {span.corpus for span in found[name].spans} == {span.corpus for span in document.spans}


@pytest.mark.parametrize("target", ["conll", "pubtator"])
def test_white_space_of_any_kind_does_not_keep_entities_from_being_written(
    tag: tuple[str | Path, ...], tmp_path: Path, target: str
) -> None:
    text = TEXT.replace(" severe", "\r\n\tsevere").replace(" in rats", "\u00a0in rats") + "\n\n"
    (tmp_path / "note.txt").write_bytes(text.encode())
    invoke(*tag, tmp_path / "note.txt", "--to", target, "-o", tmp_path / "out")
    (document,) = read_documents(tmp_path / "out", format=target)
    assert [document.mention(span) for span in document.spans] == ["Cisplatin", "nephrotoxicity"]
    assert [text[span.start : span.end] for span in document.spans] == ["Cisplatin", "nephrotoxicity"]


def test_annotated_folders_are_read_as_a_whole(tag: tuple[str | Path, ...], tmp_path: Path) -> None:
    write_brat(DOCUMENTS, tmp_path / "brat")
    invoke(*tag, "--from", "brat", tmp_path / "brat", "--to", "jsonl", "-o", tmp_path / "out.jsonl")
    assert {each.id: each.text for each in read_documents(tmp_path / "out.jsonl")} == {
        each.id: each.text for each in DOCUMENTS
    }
    assert b"needs several files" in run(*tag, "--from", "brat", "-", status=2).stderr
    assert b"name it with --output" in run(*tag, "--to", "brat", "-", status=2).stderr


@pytest.mark.parametrize("format", ["brat", "csv", "conll", "pubtator", "bioc-xml"])
def test_training_documents_come_in_any_format_with_an_account(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], backbone: Path, format: str
) -> None:
    paths = [tmp_path / "train", tmp_path / "dev"]
    for path in paths:
        if format == "brat":
            write_brat(DOCUMENTS, path)
        else:
            with path.open("w", encoding="utf-8", newline="\n") as file:
                WRITERS[format](DOCUMENTS, file)
    arguments = ("train", "--data", paths[0], "--dev", paths[1], "--from", format, "-o", tmp_path / "run")
    settings = ("leave_out=nothing", "schedule.epochs=1", "window=32", "overlap=8")
    invoke(
        *arguments, "--backbone", backbone, *(word for each in settings for word in ("--set", each)), "--json"
    )
    (account,) = json.loads(capsys.readouterr().out)["accounts"].values()
    assert account == {
        "kept": sum(len(each.spans) for each in DOCUMENTS),
        "split": 0,
        "lost": 0,
        "reasons": {},
        "repeated": 0,
    }


def test_the_page_shows_the_text_and_runs_nothing(tag: tuple[str | Path, ...], tmp_path: Path) -> None:
    page = run(*tag, "--to", "html", stdin=f"{TEXT} <script>alert(1)</script>".encode()).stdout.decode()
    assert "<script" not in page and "<mark" in page
    assert "&lt;script&gt;" in re.sub("<[^>]+>", "", page)


def test_line_ends_and_odd_characters_survive(tag: tuple[str | Path, ...], tmp_path: Path) -> None:
    text = f"\ufeff{TEXT}\r\n\0 e\u0301 👩\u200d⚕️\r{TEXT}\u2028"
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode())
    (line,) = lines(run(*tag, path, "--to", "jsonl"))
    assert line["text"] == text
    for span in line["spans"]:  # type: ignore[attr-defined]
        assert text[span["start"] : span["end"]] == span["text"]


def test_a_terminal_is_not_steered_by_a_text(tag: tuple[str | Path, ...], tmp_path: Path) -> None:
    stream = json.dumps({"id": "\x1b[2J", "text": TEXT}).encode()
    assert b"\x1b" not in run(*tag, "--from", "jsonl", stdin=stream).stdout


def test_bad_input_is_named_and_the_rest_is_still_tagged(tag: tuple[str | Path, ...], tmp_path: Path) -> None:
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text(TEXT)
    bad.write_bytes(b"fine\nthen \xe9 latin-1")
    done = run(*tag, bad, good, "--to", "jsonl", status=1)
    assert "bad.txt: not UTF-8: byte 0xe9 in line 2, at byte 6" in done.stderr.decode()
    assert [Path(str(line["id"])).name for line in lines(done)] == ["good.txt"]
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "x"}\n{"text": 3}\n{"text": "y"}\n')
    done = run(*tag, broken, "--to", "jsonl", status=1)
    assert 'broken.jsonl, line 2: expected a string under "text"' in done.stderr.decode()
    assert done.stderr.endswith(b"2 documents tagged, 1 error\n")
    assert [line["text"] for line in lines(done)] == ["x", "y"]


def write_stream(path: Path, n_documents: int) -> None:
    texts = [each.text for each in DOCUMENTS] * (n_documents // len(DOCUMENTS) + 1)
    records = ({"id": str(number), "text": text} for number, text in enumerate(texts[:n_documents]))
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_parts_joined_are_what_one_file_would_be(tag: tuple[str | Path, ...], tmp_path: Path) -> None:
    write_stream(tmp_path / "in.jsonl", 100)
    sides = ("--receipt", tmp_path / "receipt.json", "--errors", tmp_path / "errors.jsonl")
    invoke(*tag, tmp_path / "in.jsonl", "--to", "jsonl", "-o", tmp_path / "out.jsonl", *sides)
    for name, threads, size in (("one", 1, 33), ("two", 2, 7)):
        parts = (tmp_path / "in.jsonl", "--to", "jsonl", "-o", tmp_path / name, "--shard", size)
        invoke(*tag, *parts, "--threads", threads)
        found = b"".join(path.read_bytes() for path in sorted((tmp_path / name).glob("part-?????.jsonl")))
        assert found == (tmp_path / "out.jsonl").read_bytes()
        places = tmp_path / "receipt.json", tmp_path / name / "receipt.json"
        whole, cut = (json.loads(place.read_text()) for place in places)
        assert len(cut.pop("parts")) == -(-100 // size)
        assert {**whole, "seconds": 0} == {**cut, "seconds": 0}
    sha256 = open_bundle(Path(tag[2])).sha256
    assert whole["bundle"] == {"name": "tiny", "sha256": sha256, "backend": "onnxruntime"}
    assert (whole["documents"], whole["complete"]) == (100, True)
    assert whole["labels"].keys() == {"Chemical", "Disease"}
    assert (tmp_path / "errors.jsonl").read_bytes() == b""


@pytest.mark.slow
def test_control_c_pressed_twice_leaves_a_run_that_goes_on(
    tag: tuple[str | Path, ...], tmp_path: Path
) -> None:
    write_stream(tmp_path / "in.jsonl", 3000)
    arguments = [*tag, tmp_path / "in.jsonl", "--to", "jsonl", "--shard", 100, "--resume", "-o"]
    # What starts the tests in the background may have it ignore the key.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code = f"{heed}; from openmed_ner.cli.main import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen([*command, tmp_path / "cut"], stderr=subprocess.PIPE) as child:
        while not (tmp_path / "cut/part-00000.receipt.json").exists():
            assert child.poll() is None
            time.sleep(0.01)
        for wait in (0.02, 0.01):
            time.sleep(wait)
            child.send_signal(signal.SIGINT)
        assert child.stderr and b"continue with --resume" in child.stderr.read()
    assert child.returncode in (130, -signal.SIGINT)  # the second one may meet the process as it ends
    n_done = len([*(tmp_path / "cut").glob("part-*.receipt.json")])
    assert 1 <= n_done < 30
    for name in ("cut", "whole"):
        invoke(*arguments, tmp_path / name)
    for path in (tmp_path / "whole").glob("part-*"):
        assert path.read_bytes() == (tmp_path / "cut" / path.name).read_bytes()
    assert not [*(tmp_path / "cut").glob(".*partial")]


@pytest.mark.parametrize("module", ["typer", "openmed_ner.cli.tag", "numpy", "onnxruntime"])
def test_control_c_during_an_import_shows_no_traceback(module: str) -> None:
    code = (
        "import sys\n"
        "class Press:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Press())\n"
        "from openmed_ner.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "tag", "-"], input=b"", capture_output=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (130, b"")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.txt"], "missing.txt: no such file"),
        (["."], ".: no file to tag"),
        (["--from", "pdf", "-"], "'pdf' is not one of 'auto', 'text'"),
        (["--to", "pdf", "-"], "'pdf' is not one of 'table', 'summary'"),
        (["--corpora", "gellus", "-"], "unknown corpus 'gellus'"),
        (["--types", "Gene", "-"], "unknown type 'Gene'"),
        (["--threshold", "2", "-"], "between 0 and 1"),
        (["--workers", "some", "-"], "--workers some: expected a number above 0, or auto"),
        (["--workers", "0", "-"], "--workers 0: expected a number above 0, or auto"),
        (["--threads", "0", "-"], "Invalid value for '--threads'"),
        (["--nonsense", "-"], "nonsense"),
        (["-o", "nowhere/out.jsonl", "-"], "cannot write nowhere/out.jsonl"),
        (["-o", ".", "-"], "cannot write .: it is a directory"),
        (["-", "--shard", "5", "--to", "jsonl"], "name it with --output"),
        (["-", "--shard", "5", "--to", "jsonl", "-o", "out"], "--shard cannot read standard input"),
        ([".", "--from", "brat", "--shard", "5", "-o", "out"], "--to table cannot be written in parts"),
        (["-", "--resume"], "--resume needs --shard"),
        (["-", "--errors", "nowhere/errors.jsonl"], "cannot write nowhere/errors.jsonl"),
    ],
)
def test_a_wrong_command_line_is_explained(
    tag: tuple[str | Path, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*tag, *arguments, stdin=b"x", status=2)
    assert message in done.stderr.decode()
    assert done.stdout == b""


def test_an_unreadable_standard_input_is_named(tag: tuple[str | Path, ...]) -> None:
    assert "stdin: not UTF-8: byte 0xff" in run(*tag, "-", stdin=b"\xff", status=1).stderr.decode()


def test_the_document_decides_unless_told_otherwise() -> None:
    command = ["tag", "--corpora", HEAD, "--to", "jsonl", "--threads", "1"]
    for options, mentions in (([], MENTIONS[1:]), (["--no-document-decoding"], MENTIONS)):
        (line,) = lines(run(*command, *options, stdin=TEXT_WITH_DEFINITION.encode()))
        assert [span["text"] for span in line["spans"]] == mentions  # type: ignore[attr-defined]


def test_scores_can_leave_the_document_out(tmp_path: Path) -> None:
    """The gold is what the model finds in each place."""
    spans = [
        Span(start, start + len(name), "Disease")
        for name in MENTIONS
        for start in [TEXT_WITH_DEFINITION.rindex(name)]
    ]
    gold, scores = tmp_path / "gold.jsonl", tmp_path / "scores.json"
    with gold.open("w") as file:
        write_jsonl([Document("1", TEXT_WITH_DEFINITION, tuple(spans))], file)
    command = ["evaluate", "--data", gold, "--head", HEAD, "--json", scores, "--threads", "1"]
    for options, recall in (([], 0.5), (["--no-document-decoding"], 1.0)):
        run(*command, *options)
        record = json.loads(scores.read_text())
        assert record["results"][0]["micro"]["recall"] == recall
        assert record.get("document_decoding", True) is not bool(options)
    done = run("evaluate", "--attach", "--no-document-decoding", status=2)
    assert b"omit --no-document-decoding" in done.stderr


def test_empty_and_blank_input_have_no_entities(tag: tuple[str | Path, ...]) -> None:
    for text in (b"", b" \n\t "):
        (line,) = lines(run(*tag, "--to", "jsonl", stdin=text))
        assert line["spans"] == [] and line["coverage"]["complete"] is True  # type: ignore[index]


@pytest.mark.slow
def test_a_single_line_of_megabytes_is_read_to_its_end(tag: tuple[str | Path, ...], tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    text = "patients received a drug " * 40_000
    path.write_text(text)
    (line,) = lines(run(*tag, path, "--to", "jsonl"))
    assert line["text"] == text
    assert line["coverage"]["complete"] is True and line["coverage"]["windows"] > 1_000  # type: ignore[index]


def test_a_failed_run_leaves_an_older_output_alone(tag: tuple[str | Path, ...], tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("old")
    run(*tag, "--corpora", "gellus", "-o", output, stdin=b"x", status=2)
    assert output.read_text() == "old" and list(tmp_path.iterdir()) == [output]


def test_a_bundle_that_must_not_be_trusted_is_refused(runtime_bundle: Bundle, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runtime_bundle.folder, tmp_path / "copy"))
    (copy / "payload.pkl").write_bytes(b"")
    for command in (("tag", "--bundle", copy), ("bundles", "verify", copy), ("evaluate", copy)):
        assert "payload.pkl" in run(*command, stdin=b"x", status=2).stderr.decode()
    nothing = run("tag", "--bundle", tmp_path / "nothing", stdin=b"x", status=2)
    assert "is not a bundle" in nothing.stderr.decode()


def test_bundles_are_described_and_verified(runtime_bundle: Bundle) -> None:
    described = json.loads(run("bundles", "info", runtime_bundle.folder, "--json").stdout)
    assert described["kind"] == "runtime" and described["sha256"] == runtime_bundle.sha256
    assert "runtime bundle, fp32" in run("bundles", "info", runtime_bundle.folder).stdout.decode()
    assert "the model runs" in run("bundles", "verify", runtime_bundle.folder).stdout.decode()
    assert json.loads(run("bundles", "verify", runtime_bundle.folder, "--json").stdout)["runs"] is True


@pytest.mark.slow
def test_own_documents_are_learnt_exported_and_scored(
    backbone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gold = tmp_path / "gold.jsonl"
    with gold.open("w", encoding="utf-8") as file:
        write_jsonl(DOCUMENTS, file)
    settings = ["lora.targets=all-linear", "lora.rank=8", "window=80", "overlap=16", "schedule.epochs=2"]
    settings.append("transitions=0")  # two epochs teach too little to be added to
    options = [part for setting in settings for part in ("--set", setting)]
    train = (
        "train",
        "-o",
        tmp_path / "run",
        "--data",
        gold,
        "--dev",
        gold,
        "--backbone",
        backbone.name,
        *options,
    )
    invoke(*train, "--json")
    result = json.loads(capsys.readouterr().out)
    assert result["parameters"]["trained"] < result["parameters"]["total"]
    with pytest.raises(RunError, match="already holds a run"):
        invoke(*train)
    invoke(*train, "--resume")
    assert ": dev F1" in capsys.readouterr().out
    monkeypatch.delenv("OPENMED_NER_CORPORA", raising=False)
    invoke("bundles", "export", tmp_path / "run/bundle", "-o", tmp_path / "runtime", "--precision", "fp32")
    assert "of spans agree" in capsys.readouterr().out
    scores = tmp_path / "scores.json"
    invoke("evaluate", tmp_path / "runtime", "--data", gold, "--json", scores, "--attach")
    assert "gold gold.jsonl: P" in capsys.readouterr().out
    record = json.loads(scores.read_text())
    assert record["results"][0]["documents"] == len(DOCUMENTS)
    assert record["training"]["recipe"]["lora"]["rank"] == 8
    assert "| gold | gold.jsonl | mention |" in (tmp_path / "runtime/README.md").read_text()
    invoke("bundles", "verify", tmp_path / "runtime")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Gold files: with diseases only, with both types, with nothing."""
    documents = {"gold": only("Disease"), "both": DOCUMENTS, "empty": DOCUMENTS[2:3]}
    paths = {name: tmp_path / f"{name}.jsonl" for name in documents}
    for name, path in paths.items():
        with path.open("w", encoding="utf-8") as file:
            write_jsonl(documents[name], file)
    return paths


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "name at least one corpus"),
        ("--data {gold}", "--data needs --dev"),
        ("--data {gold} --dev {both}", "label 'Chemical' does not occur"),
        ("--data {empty} --dev {gold}", "nothing to learn"),
        ("--corpus ncbi-disease --data {gold}", "not both"),
        ("--corpus ncbi-disease --skip-invalid", "--skip-invalid is for your own documents"),
        ("--corpus nonsense", "unknown corpus 'nonsense'; known: ncbi-disease"),
        ("--set schedule.epoch=3", "did you mean schedule.epochs"),
        ("--recipe none.toml", "none.toml"),
        ("--data {gold} --dev {gold} --backbone nowhere", "unknown backbone 'nowhere'"),
        ("--data none.jsonl --dev {gold}", "none.jsonl: cannot be read"),
    ],
)
def test_training_explains_what_is_wrong(
    backbone: Path, files: dict[str, Path], tmp_path: Path, arguments: str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        invoke(
            "train", "-o", tmp_path / "run", "--backbone", backbone.name, *arguments.format(**files).split()
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--data {both}", "--data needs --head, one of: diseases, chemicals"),
        ("--data {both} --head x", "no head for 'x'"),
        ("--data {both} --head diseases", "no label 'Chemical'"),
        ("--corpus ncbi-disease", "no head for 'ncbi-disease'"),
        ("--corpus nonsense", "unknown corpus 'nonsense'"),
        ("--data {both} --corpus x", "not both"),
    ],
)
def test_evaluation_explains_what_is_wrong(
    runtime_bundle: Bundle, files: dict[str, Path], arguments: str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        invoke("evaluate", runtime_bundle.folder, *arguments.format(**files).split())


def test_a_renamed_option_warns_once_and_works(
    runtime_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Bundle] = []

    def export_bundle(source: Bundle, target: Path, *, choices: Bundle, **options: object) -> None:
        given.append(choices)
        raise RunError("exporting takes long")

    monkeypatch.setattr("openmed_ner.training.export.bundles.export_bundle", export_bundle)
    folder = runtime_bundle.folder
    done = run("bundles", "export", folder, "-o", tmp_path / "new", "--merges", folder, status=1)
    assert done.stderr.decode().count("warning: --merges is now --choices") == 1
    assert [bundle.folder for bundle in given] == [folder]


def test_help_is_there_for_every_command() -> None:
    for command in (("tag",), ("train",), ("evaluate",), ("doctor",), ("bundles",)):
        assert b"Usage" in run(*command, "--help").stdout
    assert b"Usage" in run("bundles", "export", "--help").stdout
    assert start("--version").stdout.strip()


def test_the_embedded_model_tags_the_examples() -> None:
    """What `make demo` does, with the model that users get."""
    found = lines(run("tag", EXAMPLES, "--to", "jsonl", "--threads", 1))
    assert [line["text"] for line in found] == [document.text for document in read_examples()]
    for line in found:
        assert line["coverage"]["complete"] is True  # type: ignore[index]
        assert {span["label"] for span in line["spans"]} >= {"Disease"}  # type: ignore[attr-defined]


def test_the_doctor_finds_the_embedded_model_well(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = json.loads(run("doctor", "--json").stdout)
    assert findings["embedded"] == "works" and not any(findings["extras"].values())
    monkeypatch.setenv("OPENMED_NER_CORPORA", "/nowhere")
    report = run("doctor").stdout.decode()
    assert "OPENMED_NER_CORPORA names /nowhere, which is not a folder" in report


def test_the_doctor_names_the_terminologies_of_all_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "compiled").mkdir()
    for name in ("one", "two"):
        build_diseases(tmp_path / name, ["asthma"]).rename(tmp_path / "compiled" / name)
    monkeypatch.setenv("OPENMED_NER_TERMINOLOGIES", str(tmp_path / "compiled"))
    (source,) = list_sources()
    assert source["licence"] == "CC-BY-4.0"
    monkeypatch.setenv("OPENMED_NER_TERMINOLOGIES", str(tmp_path / "compiled/one"))
    assert list_sources() == [source]
    monkeypatch.delenv("OPENMED_NER_TERMINOLOGIES")
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert list_sources() == []


@pytest.fixture
def answers(tmp_path: Path) -> dict[str, Path]:
    """Gold and the predictions of two systems: one perfect, one that misses and renames."""
    worse = [each.with_spans(each.spans[1:]) for each in DOCUMENTS]
    renamed = [
        each.with_spans(replace(span, label=span.label.upper()) for span in each.spans) for each in DOCUMENTS
    ]
    sets = {
        "gold": DOCUMENTS,
        "same": DOCUMENTS[::-1],
        "worse": worse,
        "renamed": renamed,
        "few": DOCUMENTS[1:],
    }
    paths = {name: tmp_path / f"{name}.jsonl" for name in sets}
    for name, path in paths.items():
        with path.open("w", encoding="utf-8", newline="\n") as file:
            write_jsonl(sets[name], file)
    write_brat(DOCUMENTS, tmp_path / "brat")
    return {**paths, "brat": tmp_path / "brat"}


def evaluate(*arguments: str | Path, json_file: Path) -> dict[str, Any]:
    invoke("evaluate", *arguments, "--json", json_file)
    record: dict[str, Any] = json.loads(json_file.read_text())
    return record


def test_anybody_s_predictions_are_scored_by_every_protocol(answers: dict[str, Path], tmp_path: Path) -> None:
    pair = ("--gold", answers["gold"], "--predicted")
    record = evaluate(*pair, answers["worse"], "--protocol", "all", json_file=tmp_path / "x.json")
    assert [row["protocol"] for row in record["results"]] == ["mention", "word", "subword"]
    n_gold = sum(len(each.spans) for each in DOCUMENTS)
    n_missed = sum(bool(each.spans) for each in DOCUMENTS)
    micro = record["results"][0]["micro"]
    assert (micro["tp"], micro["fp"], micro["fn"]) == (n_gold - n_missed, 0, n_missed)
    for other, more in (
        ("same", ()),
        ("renamed", ("--map", "DISEASE=Disease", "--map", "CHEMICAL=Chemical")),
    ):
        (row,) = evaluate(*pair, answers[other], *more, json_file=tmp_path / "x.json")["results"]
        assert row["micro"]["f1"] == 1
    arguments = (*pair, answers["brat"], "--predicted-from", "brat")
    assert evaluate(*arguments, json_file=tmp_path / "x.json")["results"][0]["micro"]["f1"] == 1
    arguments = (*pair, answers["renamed"], "--map", "DISEASE=Disease", "--map", "CHEMICAL=")
    assert evaluate(*arguments, json_file=tmp_path / "x.json")["results"][0]["micro"]["precision"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--gold {gold} --predicted {few}", "gold document '0' has no counterpart"),
        ("--gold {few} --predicted {gold}", "predicted document '0' has no counterpart"),
        ("--gold {gold} --predicted {renamed}", "document '0': the gold (see --map) has no label"),
        ("--gold {gold} --predicted {renamed} --map DISEASE", "expected OLD=NEW"),
        ("--predicted {same}", "needs what it is to be compared with"),
        ("--gold {gold} --predicted {same} --attach", "--attach"),
        ("--gold {gold} --compare {same} {few}", "has no counterpart"),
        ("--gold {gold} --predicted {same} --compare {same} {few}", "--compare names two systems"),
    ],
)
def test_predictions_that_cannot_be_compared_are_refused(
    answers: dict[str, Path], arguments: str, message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        invoke("evaluate", *arguments.format(**answers).split())


def test_texts_that_differ_are_named_with_the_place(answers: dict[str, Path], tmp_path: Path) -> None:
    changed = [replace(each, text=each.text[:-1] + "!") for each in DOCUMENTS]
    with (tmp_path / "changed.jsonl").open("w", encoding="utf-8") as file:
        write_jsonl(changed, file)
    place = len(DOCUMENTS[0].text) - 1
    with pytest.raises(
        InputError, match=f"document '0': gold and predicted texts differ, first at character {place}"
    ):
        invoke("evaluate", "--gold", answers["gold"], "--predicted", tmp_path / "changed.jsonl")


def test_two_systems_are_compared_and_explained(
    answers: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    systems = ("--compare", answers["same"], answers["worse"])
    record = evaluate("--gold", answers["gold"], *systems, "--report", page, json_file=tmp_path / "x.json")
    (row,) = record["comparisons"]
    assert row["first"]["micro"]["f1"] == 1 and row["difference"] > 0 and row["p_value"] < 0.05
    assert "p = 0.0" in capsys.readouterr().out and "</html>" in page.read_text()


def test_two_bundles_are_compared_head_by_head(
    runtime_bundle: Bundle, adapter_bundle: Bundle, files: dict[str, Path], tmp_path: Path
) -> None:
    pair = ("--compare", runtime_bundle.folder, adapter_bundle.folder)
    arguments = ("--data", files["gold"], "--head", "diseases", *pair)
    (row,) = evaluate(*arguments, json_file=tmp_path / "x.json")["comparisons"]
    assert row["corpus"] == "diseases" and row["difference"] == 0 and row["p_value"] == 1


def test_a_report_and_the_predictions_are_written(
    runtime_bundle: Bundle, files: dict[str, Path], tmp_path: Path
) -> None:
    page, predicted = tmp_path / "page.html", tmp_path / "predicted.jsonl"
    arguments = ("evaluate", runtime_bundle.folder, "--data", files["gold"], "--head", "diseases")
    record = evaluate(
        *arguments[1:],
        "--report",
        page,
        "--predictions",
        predicted,
        "--precision",
        "0.9",
        json_file=tmp_path / "x",
    )
    (result,) = record["results"]
    assert result["threshold"]["precision"] >= 0.9 and 0 <= result["calibration"]["ece"] < 1
    assert set(result["matching"]) == {"strict", "boundary", "type", "overlap", "partial"}
    assert "0 of 8 documents shown" in page.read_text() and "<script" not in page.read_text()
    found = list(read_documents(predicted))
    assert [each.id for each in found] == [each.id for each in DOCUMENTS]
    assert all(span.corpus == "diseases" for each in found for span in each.spans)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--corpora", ""], "--corpora"),
        (["--types", " , "], "--types"),
        (["--add", ""], "--add"),
        (["--to", "jsonl", "--shard", str(10**30), "-o", "run"], "--shard"),
        (["--threads", str(10**30)], "--threads"),
        (["--workers", str(10**30)], "--workers"),
        (["--workers", "²"], "--workers"),
    ],
)
def test_an_option_without_names_or_with_a_huge_number_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text(TEXT)
    assert problem in run("tag", "a.txt", *options, status=2).stderr.decode()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_receipt_or_a_list_of_errors_replaces_no_input_and_no_output(
    tmp_path: Path,
) -> None:
    source, output = tmp_path / "a.txt", tmp_path / "out.jsonl"
    source.write_text(TEXT)
    (tmp_path / "link").symlink_to(source)
    for options in (
        ["--receipt", output],
        ["--errors", tmp_path / "." / "out.jsonl"],
        ["--errors", source],
        ["--receipt", tmp_path / "link"],
        ["--receipt", tmp_path / "r", "--errors", tmp_path / "r"],
    ):
        done = run("tag", source, "--to", "jsonl", "-o", output, *options, status=2)
        assert b"too; name another one" in done.stderr
    assert source.read_text() == TEXT and not output.exists()
    run("evaluate", "--data", source, "--report", source, status=2)
    assert source.read_text() == TEXT


@pytest.mark.slow
@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_closed_stream_is_a_usage_error_or_not_needed(tmp_path: Path, stream: int) -> None:
    source, output = tmp_path / "a.txt", tmp_path / "out.jsonl"
    source.write_text(TEXT)
    command = [sys.executable, "-m", "openmed_ner", "tag"]

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        closing = f'exec "$@" {stream}>&-'
        words = ["sh", "-c", closing, "sh", *command, *map(str, arguments)]
        return subprocess.run(words, capture_output=True, check=False, timeout=120)

    require(call(source, "--to", "jsonl", "-o", output), 0)
    assert json.loads(output.read_text())["text"] == TEXT
    if stream == 0:
        done = require(call("-"), 2)
        assert b"standard input is closed" in done.stderr
    if stream == 1:
        done = require(call(source), 2)
        assert b"standard output is closed" in done.stderr
