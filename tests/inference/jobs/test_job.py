"""Tagging files of any size: nothing is lost, nothing there twice, whatever fails and whenever it stops."""

from __future__ import annotations

import errno
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from inspect import getsource
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import line, write_inputs
from openmed_ner.errors import CorpusFormatError, InputError, RunError
from openmed_ner.formats import READERS, WRITERS, files, read_documents
from openmed_ner.formats.conll import MAX_GAP, read_conll, write_conll
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.inference.jobs.failures import is_temporary
from openmed_ner.inference.jobs.inputs import Input, Skipped, find_inputs, iter_items
from openmed_ner.inference.jobs.job import Job
from openmed_ner.inference.jobs.reading import ReadingOptions
from openmed_ner.inference.jobs.receipt import Chunk, JobCounts, JobProgress, TagFunction
from openmed_ner.text import Document, Span
from strategies import at_most

BAD = '{"text": 3}'
POISON = "poison"


def tag_words(documents: Iterable[Document], *, ahead: int = 1) -> Iterator[Document]:
    """A tagger without a model: the first character is an entity, and poison makes it fail.

    Like the real one it reads some documents ahead.
    """
    stream = iter(documents)
    while batch := [*islice(stream, ahead)]:
        if any(POISON in entry.text for entry in batch):
            raise RunError("the model computed scores that are not finite")
        for entry in batch:
            coverage = {"characters": len(entry.text), "windows": 1, "complete": "unread" not in entry.text}
            spans = [Span(0, 1, "Disease", 0.5, "stub")] if entry.text else []
            yield replace(entry, spans=tuple(spans), meta={"coverage": coverage})


def ahead(number: int) -> TagFunction:
    return lambda documents: tag_words(documents, ahead=number)


def make_job(
    inputs: list[Input], folder: Path, *, size: int = 3, tag: TagFunction = tag_words, **fields: Any
) -> Job:
    identity = {"version": "1", "bundle": {"sha256": "0"}, "options": {"threshold": 0.0}}
    return Job(inputs, folder, "jsonl", tag, write_jsonl, size, {**identity, **fields})


def results(folder: Path) -> dict[str, bytes]:
    """Whatever must be the same however often a run was interrupted: all but the time it took."""
    result = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}
    receipt = json.loads(result.pop("receipt.json"))
    del receipt["seconds"]
    return {**result, "receipt": json.dumps(receipt).encode()}


def joined(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("part-?????.jsonl")))


def errors(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(entry) for entry in (folder / "errors.jsonl").read_text().splitlines()]


@pytest.fixture
def inputs(tmp_path: Path) -> list[Input]:
    contents = [[line(1), BAD, line(2)], [], [line(number) for number in range(3, 9)], [BAD, line(9, POISON)]]
    return write_inputs(tmp_path / "in", contents)


KINDS = st.sampled_from(["good", "bad", "poison", "blank"])


def to_lines(kinds: list[list[str]]) -> list[list[str]]:
    def to_line(number: int, kind: str) -> str:
        return {"bad": BAD, "blank": "", "poison": line(number, POISON), "good": line(number)}[kind]

    return [[to_line(number, kind) for number, kind in enumerate(entry)] for entry in kinds]


@at_most(15)
@given(st.lists(st.lists(KINDS, max_size=8), min_size=1, max_size=4), st.integers(1, 12), st.integers(1, 5))
def test_a_cut_into_parts_and_a_look_ahead_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[list[str]], size: int, n_ahead: int
) -> None:
    folder = tmp_path_factory.mktemp("job")
    inputs = write_inputs(folder / "in", to_lines(kinds))
    whole = make_job(inputs, folder / "whole", size=1000).run()
    cut = make_job(inputs, folder / "cut", size=size, tag=ahead(n_ahead)).run()
    assert whole == cut
    assert joined(folder / "whole") == joined(folder / "cut")
    assert errors(folder / "whole") == errors(folder / "cut")
    flat = [kind for entry in kinds for kind in entry]
    assert (whole.documents, whole.errors) == (flat.count("good"), flat.count("bad") + flat.count("poison"))
    receipt = json.loads((folder / "cut/receipt.json").read_text())
    assert receipt["documents"] == len(joined(folder / "cut").splitlines())
    assert receipt["complete"] is (whole.errors == 0)


@at_most(15)
@given(st.lists(st.integers(0, 9), max_size=4), st.integers(1, 5), st.integers(1, 4))
def test_a_run_interrupted_anywhere_ends_like_one_that_was_not(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], size: int, n_ahead: int
) -> None:
    folder = tmp_path_factory.mktemp("job")
    lines = [[line(1), BAD, line(2)], [line(number) for number in range(3, 9)], [line(9, POISON), line(10)]]
    inputs = write_inputs(folder / "in", lines)
    make_job(inputs, folder / "whole", size=size).run()
    for stop in stops:

        def interrupted(documents: Iterable[Document], left: list[int] = [stop]) -> Iterator[Document]:  # noqa: B006
            for document in tag_words(documents, ahead=n_ahead):
                left[0] -= 1
                if left[0] < 0:
                    raise KeyboardInterrupt
                yield document

        try:
            make_job(inputs, folder / "cut", size=size, tag=interrupted).run(resume=True)
        except KeyboardInterrupt:
            assert not [path for path in (folder / "cut").iterdir() if path.name.endswith(".partial")]
    make_job(inputs, folder / "cut", size=size).run(resume=True)
    assert results(folder / "cut") == results(folder / "whole")


def test_finished_parts_are_not_tagged_again(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path / "in", [[line(number) for number in range(10)]])
    seen: list[str] = []

    def spy(documents: Iterable[Document]) -> Iterator[Document]:
        for document in tag_words(documents):
            seen.append(document.id)
            if document.id == "d7" and seen.count("d7") == 1:
                raise KeyboardInterrupt
            yield document

    job = make_job(inputs, tmp_path / "out", tag=spy)
    with pytest.raises(KeyboardInterrupt):
        job.run()
    job.run(resume=True)
    assert seen == [f"d{number}" for number in [*range(8), 6, 7, 8, 9]]
    before = results(tmp_path / "out"), (tmp_path / "out/receipt.json").stat().st_mtime_ns
    job.run(resume=True)
    assert before == (results(tmp_path / "out"), (tmp_path / "out/receipt.json").stat().st_mtime_ns)
    assert len(seen) == 12


SLOWLY = """
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background may have it ignored

def slowly(documents):
    for document in tag_words(documents, ahead=2):
        time.sleep(0.004)
        yield document

print("begun", flush=True)
make_job(find_inputs([Path("in")]), Path("cut"), size=7, tag=slowly).run(resume=True)
"""
IMPORTS = """
from __future__ import annotations
import signal
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from openmed_ner.errors import RunError
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.inference.jobs.inputs import find_inputs
from openmed_ner.inference.jobs.job import Job
from openmed_ner.text import Document, Span
POISON = "poison"
"""
CHILD = "\n".join([IMPORTS, getsource(tag_words), getsource(make_job), SLOWLY])
"""A process that tags slowly, without the time it takes to import what only tests need."""


def start_child(folder: Path) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert child.stdout and child.stdout.readline() == b"begun\n"
    return child


@pytest.mark.slow
def test_interrupted_runs_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    """Up to 26 runs, each ended four or five times, most of them by ``kill -9``."""
    lines = [[line(number + 40 * file) if number % 9 else BAD for number in range(40)] for file in range(3)]
    inputs = write_inputs(tmp_path / "in", lines)
    make_job(inputs, tmp_path / "whole", size=7).run()
    rng = random.Random(0)
    signals = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
    n_runs = min(26, max(2, 26 * settings().max_examples // 100))
    n_ended = 0
    for _ in range(n_runs):
        for _ in range(rng.choice([4, 5])):
            with start_child(tmp_path) as child:
                time.sleep(rng.uniform(0.01, 0.2))
                child.send_signal(rng.choice(signals))
            n_ended += child.returncode != 0
        with start_child(tmp_path) as child:
            assert child.wait(60) == 0
        assert results(tmp_path / "cut") == results(tmp_path / "whole")
        shutil.rmtree(tmp_path / "cut")
    assert n_ended >= 3 * n_runs


def test_a_second_process_is_kept_out(tmp_path: Path, inputs: list[Input]) -> None:
    def meddling(documents: Iterable[Document]) -> Iterator[Document]:
        with pytest.raises(InputError, match="another process is working here"):
            make_job(inputs, tmp_path / "out").run(resume=True)
        return tag_words(documents)

    assert make_job(inputs, tmp_path / "out", tag=meddling).run().documents == 8


@pytest.mark.parametrize("call", range(1, 30, 4))
def test_a_full_disk_ends_the_run_and_keeps_what_is_done(
    tmp_path: Path, inputs: list[Input], monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Every file and every folder is put on the disk by ``fsync``; here one of these calls fails."""
    make_job(inputs, tmp_path / "whole").run()
    fsync, calls = os.fsync, [0]

    def fail(handle: int) -> None:
        calls[0] += 1
        if calls[0] >= call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        try:
            make_job(inputs, tmp_path / "out").run()
        except RunError as error:
            assert "No space left" in str(error) and "--resume" in str(error) and error.exit_status == 1
        else:
            assert calls[0] < call
    make_job(inputs, tmp_path / "out").run(resume=True)
    assert results(tmp_path / "out") == results(tmp_path / "whole")


LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))"


def test_a_disk_that_fills_up_while_a_part_is_written(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path / "in", [[line(number, "x" * 9000) for number in range(5)]])
    code = CHILD.replace("size=7", "size=4").replace("import time", LIMIT + "\nimport time", 1)
    run = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, check=False, timeout=60)
    assert b"RunError: cut: File too large. The finished parts are kept" in done.stderr
    assert b"ignored" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == [".lock", "plan.json"]
    make_job(inputs, tmp_path / "cut", size=4).run(resume=True)
    assert len(joined(tmp_path / "cut").splitlines()) == 5


def test_a_folder_that_vanishes_ends_the_run(tmp_path: Path, inputs: list[Input]) -> None:
    def vandal(documents: Iterable[Document]) -> Iterator[Document]:
        for document in tag_words(documents):
            if document.id == "d5":
                shutil.rmtree(tmp_path / "out")
            yield document

    with pytest.raises(RunError, match=r"part-.*No such file"):
        make_job(inputs, tmp_path / "out", tag=vandal).run()
    assert make_job(inputs, tmp_path / "out").run(resume=True).documents == 8


def test_a_file_that_cannot_be_read_is_an_error_among_results(tmp_path: Path, inputs: list[Input]) -> None:
    inputs[2].path.unlink()
    counts = make_job(inputs, tmp_path / "out").run()
    assert counts.documents == 2
    assert [entry["reason"] for entry in errors(tmp_path / "out")][1].endswith(
        "cannot be read: No such file or directory"
    )


def test_errors_name_file_item_and_document_and_not_the_text(tmp_path: Path, inputs: list[Input]) -> None:
    make_job(inputs, tmp_path / "out").run()
    assert errors(tmp_path / "out") == [
        {
            "file": "0.jsonl",
            "item": 2,
            "reason": '0.jsonl, line 2: expected a string under "text"',
            "id": None,
        },
        {
            "file": "3.jsonl",
            "item": 1,
            "reason": '3.jsonl, line 1: expected a string under "text"',
            "id": None,
        },
        {"file": "3.jsonl", "item": 2, "reason": "the model computed scores that are not finite", "id": "d9"},
    ]


def test_a_run_is_only_gone_on_with_as_it_was_begun(tmp_path: Path, inputs: list[Input]) -> None:
    make_job(inputs, tmp_path / "out").run()
    again: list[tuple[Job, str]] = [
        (make_job(inputs, tmp_path / "out", size=4), "shard 3, not 4"),
        (make_job(inputs, tmp_path / "out", version="2"), "version '1', not '2'"),
        (make_job(inputs, tmp_path / "out", options={"threshold": 0.5}), "threshold 0.0, not 0.5"),
        (make_job(inputs, tmp_path / "out", bundle={"sha256": "1"}), "sha256 '0', not '1'"),
        (make_job(inputs[1:], tmp_path / "out"), "4 input files, not 3"),
    ]
    for job, message in again:
        with pytest.raises(InputError, match=message):
            job.run(resume=True)
    with pytest.raises(InputError, match="already holds a run"):
        make_job(inputs, tmp_path / "out").run()
    inputs[0].path.write_text(line(77))
    with pytest.raises(InputError, match=r"another '0\.jsonl', or other content"):
        make_job(inputs, tmp_path / "out").run(resume=True)


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path, inputs: list[Input]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/part-00000.jsonl").write_text("mine")
    with pytest.raises(InputError, match="and no run; name a new folder"):
        make_job(inputs, tmp_path / "out").run(resume=True)
    assert (tmp_path / "out/part-00000.jsonl").read_text() == "mine"


def test_a_changed_part_is_noticed_and_a_missing_receipt_made_again(
    tmp_path: Path, inputs: list[Input]
) -> None:
    make_job(inputs, tmp_path / "out").run()
    before = results(tmp_path / "out")
    part, receipt = tmp_path / "out/part-00001.jsonl", tmp_path / "out/part-00001.receipt.json"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"part-00001\.jsonl: expected \d+ bytes.*delete this receipt"):
        make_job(inputs, tmp_path / "out").run(resume=True)
    receipt.unlink()
    make_job(inputs, tmp_path / "out").run(resume=True)
    assert results(tmp_path / "out") == before
    receipt.write_text("{}")
    with pytest.raises(InputError, match="is not the receipt of a part"):
        make_job(inputs, tmp_path / "out").run(resume=True)


def test_a_flipped_byte_of_a_part_is_noticed(tmp_path: Path, inputs: list[Input]) -> None:
    make_job(inputs, tmp_path / "out").run()
    part = tmp_path / "out/part-00001.jsonl"
    content = bytearray(part.read_bytes())
    content[5] ^= 1
    part.write_bytes(content)
    with pytest.raises(InputError, match=r"part-00001\.jsonl was changed or damaged.*delete this receipt"):
        make_job(inputs, tmp_path / "out").run(resume=True)


@pytest.mark.parametrize(
    "change",
    [
        {"file": "x"},
        {"file": 99},
        {"file": True},
        {"items": None},
        {"items": -5},
        {"items": 0},
        {"bytes": 1.5},
        {"sha256": 5},
        {"part": 5},
        {"part": "../x"},
        {"part": "part-00000.jsonl"},
        {"problems": 3},
        {"problems": [3]},
        {"counts": []},
        {"counts": {"documents": "x"}},
        {"labels": 5},
        {"labels": {"Disease": "x"}},
        {"unknown": 1},
    ],
)
def test_a_changed_receipt_is_noticed(tmp_path: Path, inputs: list[Input], change: dict[str, Any]) -> None:
    make_job(inputs, tmp_path / "out").run()
    path = tmp_path / "out/part-00002.receipt.json"
    record = json.loads(path.read_text())
    (record["counts"] if "labels" in change else record).update(change)
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"00002\.receipt\.json is not the receipt.*delete this receipt"):
        make_job(inputs, tmp_path / "out").run(resume=True)


@pytest.mark.parametrize("content", ["", "[]", "{", "3"])
def test_a_receipt_that_is_no_object_names_the_way_out(
    tmp_path: Path, inputs: list[Input], content: str
) -> None:
    make_job(inputs, tmp_path / "out").run()
    (tmp_path / "out/part-00002.receipt.json").write_text(content)
    with pytest.raises(InputError, match="delete this receipt"):
        make_job(inputs, tmp_path / "out").run(resume=True)


def test_a_missing_list_of_errors_is_written_again_and_other_files_stay(
    tmp_path: Path, inputs: list[Input]
) -> None:
    make_job(inputs, tmp_path / "out").run()
    before = results(tmp_path / "out")
    (tmp_path / "out/errors.jsonl").unlink()
    (tmp_path / "out/part-notes.txt").write_text("mine")
    make_job(inputs, tmp_path / "out").run(resume=True)
    assert (tmp_path / "out/part-notes.txt").read_text() == "mine"
    (tmp_path / "out/part-notes.txt").unlink()
    assert results(tmp_path / "out") == before


@pytest.mark.parametrize("replace", [lambda path: None, os.mkfifo, os.mkdir], ids=["away", "pipe", "folder"])
def test_a_file_that_was_away_is_read_when_the_run_is_resumed(
    tmp_path: Path, replace: Callable[[Path], None]
) -> None:
    inputs = write_inputs(tmp_path / "in", [[line(number) for number in range(4)], [line(4)], [line(5)]])
    make_job(inputs, tmp_path / "whole").run()

    class Away(JobProgress):
        def count(self, counts: JobCounts) -> None:
            if not (tmp_path / "away").exists():
                inputs[1].path.rename(tmp_path / "away")
                replace(inputs[1].path)

    counts = make_job(inputs, tmp_path / "out").run(progress=Away())
    assert (counts.documents, counts.errors) == (5, 1)
    (problem,) = errors(tmp_path / "out")
    assert problem["temporary"] is True
    if inputs[1].path.is_dir():
        inputs[1].path.rmdir()
    (tmp_path / "away").replace(inputs[1].path)
    assert make_job(inputs, tmp_path / "out").run(resume=True).complete
    assert results(tmp_path / "out") == results(tmp_path / "whole")


def test_a_pipe_in_a_folder_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "n1.txt").write_text("Asthma.")
    (tmp_path / "n1.ann").write_text("")
    os.mkfifo(tmp_path / "n2.txt")
    (tmp_path / "n2.ann").write_text("")
    (project,) = find_inputs([tmp_path], format="brat")
    assert project.fingerprint() == project.fingerprint()
    items = list(iter_items([project]))
    assert [type(item.content) for item in items] == [Document, CorpusFormatError]


@pytest.mark.parametrize(
    ("error", "temporary"),
    [
        (OSError(errno.EIO, "I/O error"), True),
        (MemoryError(), True),
        (RunError("failed: Failed to allocate memory for requested buffer"), True),
        (RunError("scores that are not finite"), False),
        (gzip.BadGzipFile("damaged"), False),
        (CorpusFormatError("line 3"), False),
    ],
)
def test_what_may_pass_is_told_from_what_stays(error: Exception, temporary: bool) -> None:
    assert is_temporary(error) is temporary
    wrapped = InputError("cannot be read")
    wrapped.__cause__ = error
    assert is_temporary(wrapped) is temporary


def test_pipes_devices_and_patterns_without_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(InputError, match=r"pipe is a pipe or a device; .* tag - <"):
        find_inputs([tmp_path / "pipe"])
    for pattern in ("pip*", "*.txt"):
        with pytest.raises(InputError, match="none of the 1 paths that match is a file"):
            find_inputs([tmp_path / pattern])


def test_an_empty_compressed_file_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.touch()
    (item,) = iter_items(find_inputs([path]))
    assert isinstance(item.content, CorpusFormatError) and "empty" in str(item.content)
    path.write_bytes(gzip.compress(b""))
    assert list(iter_items(find_inputs([path]))) == []


def test_an_option_that_the_tagger_refuses_is_nobodys_fault_but_the_callers(inputs: list[Input]) -> None:
    def refusing(documents: Iterable[Document]) -> Iterator[Document]:
        raise InputError("unknown corpus")

    with pytest.raises(InputError, match="unknown corpus"):
        Chunk(iter_items(inputs), refusing, JobProgress()).write(write_jsonl, StringIO())


def test_text_that_was_not_read_makes_a_run_incomplete(tmp_path: Path) -> None:
    counts = make_job(write_inputs(tmp_path / "in", [[line(1, "unread")]]), tmp_path / "out").run()
    assert (counts.documents, counts.errors, counts.unread, counts.complete) == (1, 0, 1, False)
    assert JobCounts.from_json(counts.to_json()) == counts


# --- Writers


@pytest.mark.parametrize("target", [name for name in WRITERS if name != "html"])
def test_a_document_that_a_format_cannot_hold_is_told_and_the_others_are_written(target: str) -> None:
    good = [Document(name, "No effect .") for name in "ab"]
    bad = {
        "jsonl": Document("x", "y", meta={"id": "taken"}),
        "csv": Document("a", "No effect ."),
        "tsv": Document("a", "No effect ."),
        "conll": Document("x", "one word", (Span(0, 2, "Disease"),)),
        "pubtator": Document("x|y", "one"),
        "bioc-xml": Document("x", "\0"),
        "bioc-json": Document("x", "\ud800"),
        "label-studio": Document("x", "\ud800"),
        "doccano": Document("x", "one", (Span(0, 3, "Disease", fragments=((0, 1), (2, 3))),)),
        "prodigy": Document("x", "one", (Span(0, 3, "Disease", corpus="ncbi"),)),
    }[target]
    reported: list[Exception] = []
    file = StringIO(newline="\n")
    WRITERS[target]([good[0], bad, good[1]], file, on_bad=reported.append)
    assert [str(entry).split(":")[0].split(" does")[0] for entry in reported] == [f"document {bad.id!r}"]
    file.seek(0)
    assert [entry.id for entry in READERS[target](file, source="x")] == ["a", "b"]
    with pytest.raises(InputError, match="document"):
        WRITERS[target]([good[0], bad], StringIO())


def test_what_a_writer_refuses_is_not_counted_and_named(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path / "in", [[line(1), line(1), line(2)]])
    chunk = Chunk(iter_items(inputs), ahead(2), JobProgress())
    chunk.write(WRITERS["csv"], StringIO())
    assert (chunk.counts.documents, chunk.counts.errors, chunk.counts.spans) == (2, 1, 2)
    (problem,) = chunk.problems
    assert (problem.item, problem.id) == (2, "d1") and "does not fit CSV" in problem.reason


# --- Readers

TOLERANT = {
    "jsonl": ('{"id": "1", "text": "a"}\n{"id": "bad"\n{"id": "2", "text": "b"}\n', "line 2"),
    "pubtator": ("1|t|a\n\n9|a|b\n\n2|t|b\n", "line 3"),
    "csv": ("id,text,start,end,label\n1,a,,,\n9,x\n2,b,,,\n", "line 3"),
    "conll": (
        "-DOCSTART-\t1\t-\tO\n\na\t0\t1\tO\n\n-DOCSTART-\t9\t-\tO\n\na\t0\t3\tO\n\n"
        "-DOCSTART-\t2\t-\tO\n\nb\t0\t1\tO\n",
        "line 7",
    ),
    "bioc-xml": (
        "<collection>"
        "<document><id>1</id><passage><offset>0</offset><text>a</text></passage></document>\n"
        "<document><passage><offset>0</offset><text>x</text></passage></document>\n"
        "<document><id>2</id><passage><offset>0</offset><text>b</text></passage></document></collection>",
        "line 2",
    ),
    "bioc-json": (
        '{"documents": [{"id": "1", "infons": {}, "passages": [], "annotations": [], "relations": []}, 3,'
        ' {"id": "2", "infons": {}, "passages": [], "annotations": [], "relations": []}]}',
        "document 2",
    ),
}


@pytest.mark.parametrize("format", TOLERANT)
def test_one_bad_record_does_not_keep_the_others_from_being_read(format: str) -> None:
    content, place = TOLERANT[format]
    reported: list[Exception] = []
    result = READERS[format](StringIO(content, newline="\n"), source="file", on_bad=reported.append)
    assert [entry.id for entry in result] == ["1", "2"]
    assert [
        isinstance(entry, CorpusFormatError) and f"file, {place}" in str(entry) for entry in reported
    ] == [True]
    with pytest.raises(CorpusFormatError, match=place):
        [*READERS[format](StringIO(content, newline="\n"), source="file")]


def read_items(path: Path, *, format: str | None = None) -> list[str]:
    """The ids of documents, and the reasons of what is none."""
    return [
        entry.content.id if isinstance(entry.content, Document) else str(entry.problem(entry.content).reason)
        for entry in iter_items(find_inputs([path], format=format))
    ]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_line_that_is_not_utf_8_is_one_bad_line(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / ("a.jsonl" if pack is bytes else "a.jsonl.gz")
    path.write_bytes(pack(b'{"id": "1", "text": "a"}\n{"text": "\xe9"}\n{"id": "2", "text": "\xc3\xa9"}\n'))
    first, bad, last = read_items(path)
    assert (first, last) == ("1", "2")
    assert "line 2: not UTF-8: byte 0xe9 at byte 11 of the line" in bad
    with pytest.raises(CorpusFormatError, match="not UTF-8: byte 0xe9"):
        [*read_documents(path)]


def test_where_a_format_cannot_go_on_the_rest_of_the_file_is_one_error(tmp_path: Path) -> None:
    content, _ = TOLERANT["bioc-xml"]
    (tmp_path / "a.xml").write_text(content.replace("<id>2", "<id>&"))
    assert [entry[:12] for entry in read_items(tmp_path)] == ["1", "a.xml, line ", "a.xml, line "]


@pytest.mark.parametrize("format", ["text", *TOLERANT])
def test_any_format_is_read_through_gzip(tmp_path: Path, format: str) -> None:
    content, _ = TOLERANT.get(format, ("a\r\nb", ""))
    suffix = {"text": "txt", "bioc-xml": "xml", "bioc-json": "json"}.get(format, format)
    plain, packed = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}.gz"
    plain.write_bytes(content.encode())
    packed.write_bytes(gzip.compress(content.encode()[:9]) + gzip.compress(content.encode()[9:]))
    first, second = ([*iter_items(find_inputs([path]))] for path in (plain, packed))
    assert len(first) == len(second) == (1 if format == "text" else 3)
    for one, other in zip(first, second, strict=True):
        if isinstance(one.content, Document):
            assert isinstance(other.content, Document) and one.content.text == other.content.text
    packed.write_bytes(packed.read_bytes()[:-9])
    *_, last = iter_items(find_inputs([packed]))
    assert "damaged: " in last.problem(last.content).reason


@pytest.mark.parametrize(
    "name", [f"a.{entry}.gz" for entry in ("jsonl", "txt", "pubtator", "csv", "conll", "xml")]
)
@pytest.mark.parametrize("content", [b"x" * 50_000, b"x O\n" * 12_500])
def test_a_compressed_file_cannot_fill_the_memory(
    tmp_path: Path, name: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_PENDING", 10_000)
    head = {"a.xml.gz": b"<collection>", "a.csv.gz": b'text\n"'}.get(name, b"")
    (tmp_path / name).write_bytes(gzip.compress(head + content))
    assert "unpacks to more than" in read_items(tmp_path)[-1]


def test_many_small_documents_may_unpack_to_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_PENDING", 1000)
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress("".join(f"{line(number)}\n" for number in range(500)).encode()))
    assert len(read_items(path)) == 500


def test_files_are_found_by_folder_name_and_pattern(tmp_path: Path) -> None:
    names = [
        "b.txt",
        "deep/a.jsonl.gz",
        "deep/pubmed25n0001.xml.gz",
        "deep/x.pdf",
        ".hidden.txt",
        "NCT01234567.json",
    ]
    (tmp_path / "deep").mkdir()
    for name in names:
        (tmp_path / name).touch()
    found = [(entry.name, entry.format) for entry in find_inputs([tmp_path]) if not entry.refusal]
    assert found == [
        ("NCT01234567.json", "clinicaltrials"),
        ("b.txt", "text"),
        ("deep/a.jsonl.gz", "jsonl"),
        ("deep/pubmed25n0001.xml.gz", "pubmed"),
    ]
    result = find_inputs([tmp_path / "**/*.gz", tmp_path / "*.txt"])
    assert [(entry.path.name, entry.format) for entry in result] == [
        ("a.jsonl.gz", "jsonl"),
        ("pubmed25n0001.xml.gz", "pubmed"),
        ("b.txt", "text"),
    ]
    (tmp_path / "[1].txt").touch()
    assert [entry.name for entry in find_inputs([tmp_path / "[1].txt"])] == [str(tmp_path / "[1].txt")]
    for path in ("*.csv", "nowhere"):
        with pytest.raises(InputError, match="no such file or folder"):
            find_inputs([tmp_path / path])


def test_options_of_reading_reach_the_readers_that_have_them(tmp_path: Path) -> None:
    for name, content in (
        (
            "a.nxml",
            "<article><front/><body><sec><title>Methods</title><p>A.</p></sec><p>B.</p></body></article>",
        ),
        ("b.txt", "Plain."),
        (
            "pubmed25n0001.xml",
            "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>1</PMID><Article><ArticleTitle>C.</ArticleTitle>"
            "<Language>fre</Language></Article></MedlineCitation></PubmedArticle></PubmedArticleSet>",
        ),
    ):
        (tmp_path / name).write_text(content)
    options = ReadingOptions(sections=("other",), languages=("eng",))
    for chosen, expected in (
        (ReadingOptions(), ["Methods\n\nA.\n\nB.", "Plain.", "C."]),
        (options, ["B.", "Plain."]),
    ):
        contents = [item.content for item in iter_items(find_inputs([tmp_path], options=chosen))]
        assert [content.text for content in contents if isinstance(content, Document)] == expected
    assert contents[-1] == Skipped("language")
    assert options.to_json() == {"sections": ["other"], "languages": ["eng"]}
    assert ReadingOptions().to_json() == {}


def test_articles_without_a_text_are_counted(tmp_path: Path) -> None:
    article = (
        "<PubmedArticle><MedlineCitation><PMID>{}</PMID><Article>{}<Language>eng</Language></Article>"
        "</MedlineCitation></PubmedArticle>"
    )
    abstract = "<ArticleTitle>T.</ArticleTitle><Abstract><AbstractText>A &lt; B.</AbstractText></Abstract>"
    articles = article.format(1, abstract) + article.format(2, "") + article.format(3, abstract)
    path = tmp_path / "pubmed25n0001.xml.gz"
    path.write_bytes(gzip.compress(f"<PubmedArticleSet>{articles}</PubmedArticleSet>".encode()))
    counts = make_job(find_inputs([path]), tmp_path / "out", size=2).run()
    assert (counts.documents, counts.skipped, counts.complete) == (2, {"no text": 1}, True)
    assert [json.loads(entry)["text"] for entry in joined(tmp_path / "out").splitlines()] == ["T. A < B."] * 2


def test_offsets_cannot_make_a_small_conll_file_large() -> None:
    rows, start = ["-DOCSTART-\t1\t-\tO\n\n"], 0
    for _ in range(200):
        rows.append(f"a\t{start}\t{start + 1}\tO\n")
        start += MAX_GAP + 1
    with pytest.raises(
        CorpusFormatError, match="line 104: the offsets of this document need more than 1000000"
    ):
        [*read_conll(StringIO("".join(rows)), source="x")]
    wide = Document("1", ("a" + " " * MAX_GAP) * 200 + "b")
    with pytest.raises(InputError, match="more than 1000000 characters of white space"):
        write_conll([wide], StringIO(), exact=False)
    with_words = Document("1", "a " * 20_000 + "a")
    write_conll([with_words], file := StringIO(newline="\n"))
    file.seek(0)
    assert [entry.text for entry in read_conll(file, source="x")] == [with_words.text]


def test_a_name_that_is_not_utf_8_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    path.write_text("No effect.")
    make_job(find_inputs([tmp_path]), tmp_path / "out").run()
    assert "caf\ufffd.txt" in joined(tmp_path / "out").decode()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_bytes_read_are_those_on_the_disk(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / ("a.jsonl" if pack is bytes else "a.jsonl.gz")
    path.write_bytes(pack("".join(f"{line(number)}\n" for number in range(20_000)).encode()))
    places, opened = [], []
    for _ in iter_items(find_inputs([path]), on_open=lambda number, file: opened.append(file)):
        assert opened[-1] is not None
        places.append(files.tell_bytes(opened[-1]))
    assert places == sorted(places) and 0 < places[0] < places[-1] == path.stat().st_size
