"""A cluster gives what one machine gives, whoever dies on the way.

The cluster is a real one, on this machine. Taggers without a model stand for those that fail, since they
travel to the workers by value.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import line, write_inputs
from openmed_ner.bundle import Bundle
from openmed_ner.bundle.record import version
from openmed_ner.bundle.suite import bundle_digest
from openmed_ner.cli.app import app
from openmed_ner.errors import BundleError, InputError, MissingExtraError, RunError
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.inference.jobs.inputs import Input, find_inputs, iter_items
from openmed_ner.inference.jobs.job import Job
from openmed_ner.inference.jobs.receipt import TagFunction
from openmed_ner.integrations.ray import RayEngine, blocks, connect, load_tag
from openmed_ner.integrations.ray import cluster as clusters
from openmed_ner.integrations.ray.blocks import Block, BlockSource
from openmed_ner.integrations.ray.engine import _complete
from openmed_ner.integrations.ray.worker import Worker
from openmed_ner.text import Document, Span
from sentences import DOCUMENTS
from strategies import at_most

pytestmark = [
    pytest.mark.slow,
    # Ray Data warns of its own settings when it makes them.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),
]
BAD = '{"text": 3}'


def tag_words(documents: Iterable[Document], *, before: Callable[[str], None]) -> Iterator[Document]:
    """A tagger without a model: the first character is an entity."""
    for document in documents:
        before(document.text)
        coverage = {"characters": len(document.text), "windows": 1, "complete": True}
        yield replace(document, spans=(Span(0, 1, "Disease", 0.5, "stub"),), meta={"coverage": coverage})


def refuse_poison(text: str) -> None:
    if "refuse" in text:
        raise RunError("the model computed scores that are not finite")


def run(inputs: list[Input], folder: Path, tag: TagFunction, **options: Any) -> dict[str, bytes]:
    """The files of a run, without the time it took."""
    Job(inputs, folder, "jsonl", tag, write_jsonl, 70, **options).run(resume=True)
    return results(folder)


def results(folder: Path) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}
    receipt = json.loads(files.pop("receipt.json"))
    del receipt["seconds"]
    return {**files, "receipt": json.dumps(receipt).encode()}


# --- Blocks, without a cluster

KINDS = st.sampled_from(["good", "bad"])


@at_most(20)
@given(
    st.lists(st.lists(KINDS, max_size=7), min_size=1, max_size=4),
    st.integers(1, 4),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_blocks_hold_every_item_once_whichever_of_them_are_lost(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[list[str]], n_items: int, n_files: int, random: Any
) -> None:
    lines = [[line(number) if kind == "good" else BAD for number, kind in enumerate(file)] for file in kinds]
    inputs = write_inputs(tmp_path_factory.mktemp("blocks"), lines)
    file = random.randrange(len(inputs))
    done = random.randint(0, len(lines[file]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "MAX_ITEMS", n_items)
        patch.setattr(blocks, "_MAX_FILES", n_files)
        source = BlockSource.from_inputs(inputs, file=file, skip=done)
        whole = list(source.iter_between((0, 0), None))
        remaining = [block for block in whole if random.random() < 0.5]
        repeated: list[Block] = []
        completed = list(_complete(source, remaining, lambda block: repeated.append(block) or block))  # type: ignore[func-returns-value]
    assert [block.position for block in completed] == [block.position for block in whole]
    assert len(repeated) == len(whole) - len(remaining)
    assert all(len(block.items) <= n_items for block in whole)
    items = [(item.file, item.number, str(item.content)) for block in completed for item in block.items]
    expected = iter_items(inputs, file=file, done=done)
    assert items == [(item.file, item.number, str(item.content)) for item in expected]


def test_an_input_that_is_not_on_a_node_is_not_taken_for_a_bad_one(tmp_path: Path) -> None:
    inputs = write_inputs(tmp_path / "in", [[line(1)]])
    source = BlockSource.from_inputs(
        [replace(file, path=tmp_path / "elsewhere" / file.name) for file in inputs]
    )
    assert "must lie at the same path on every node" in next(source.iter_blocks(0)).failure


def test_a_file_that_is_not_there_is_told_as_on_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path / "in", [[line(1)]])
    inputs = find_inputs([Path("in")])
    Path("in/0.jsonl").unlink()
    (local,) = iter_items(inputs)
    (remote,) = next(BlockSource.from_inputs(inputs).iter_blocks(0)).items
    assert str(remote.content) == str(local.content)


def loader(bundle: Bundle, **changes: Any) -> Callable[[], TagFunction]:
    usual = {"backend": None, "threads": 1, "options": {}, "steps": []}
    expected = {"sha256": bundle_digest(bundle.folder), "version": version()}
    return partial(load_tag, bundle.folder, **{**usual, **expected, **changes})


def test_a_worker_with_another_bundle_or_package_refuses_to_work(runtime_bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="put the same bundle at this path on every node"):
        loader(runtime_bundle, sha256="0" * 64)()
    with pytest.raises(BundleError, match=r"the run was started with 0\.0"):
        loader(runtime_bundle, version="0.0")()
    refused = Worker(loader(runtime_bundle, sha256="0" * 64)).tag_block(Block(0, 3))
    assert refused.position == (0, 3) and "put the same bundle" in refused.failure


def test_a_fault_of_ours_is_no_bad_document(tmp_path: Path) -> None:
    def fail(text: str) -> None:
        raise ZeroDivisionError("division by zero")

    source = BlockSource.from_inputs(write_inputs(tmp_path / "in", [[line(1)]]))
    tagged = Worker(lambda: partial(tag_words, before=fail)).tag_block(next(source.iter_blocks(0)))
    assert tagged.failure.endswith("division by zero") and not tagged.items


def test_ray_is_named_with_its_extra_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"openmed-ner\[ray\]"), connect():
        pass


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--engine", "ray"], "name it with --output"),
        (["--address", "auto"], "add --engine ray"),
        (["-", "--engine", "ray", "-o", "out"], "cannot read standard input"),
        (["--engine", "ray", "-o", "out", "--workers", "auto"], "each worker is a process"),
    ],
)
def test_what_an_engine_cannot_do_is_said_before_it_starts(
    tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "a.txt").write_text("No effect was seen.")
    with pytest.raises(InputError, match=message):
        app(["tag", str(tmp_path / "a.txt"), *words], standalone_mode=False)


# --- On a cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a cluster with two workers, and a core for the reader."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    with connect(workers=2):
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield ray.get_runtime_context().gcs_address
        ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def kill_once(marker: Path, text: str) -> None:
    if "kill" in text and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def kill_always(text: str) -> None:
    refuse_poison(text)
    if "kill" in text:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.ray
def test_a_killed_worker_costs_time_and_nothing_else(tmp_path: Path, cluster: str) -> None:
    lines = [[line(number, "kill" if number == 150 else "text") for number in range(400)], [], [BAD, line(1)]]
    inputs = write_inputs(tmp_path / "in", lines)
    local = run(inputs, tmp_path / "local", partial(tag_words, before=str))
    marker = tmp_path / "killed"
    engine = RayEngine(lambda: partial(tag_words, before=partial(kill_once, marker)), workers=2)
    assert run(inputs, tmp_path / "ray", engine.tag, read=engine.read) == local
    assert marker.exists()


@pytest.mark.ray
def test_a_document_that_kills_its_workers_is_an_error_among_results(tmp_path: Path, cluster: str) -> None:
    kinds = {70: "kill", 200: "refuse"}
    inputs = write_inputs(tmp_path / "in", [[BAD, *(line(n, kinds.get(n, "text")) for n in range(300))]])
    engine = RayEngine(lambda: partial(tag_words, before=kill_always), workers=2)
    files = run(inputs, tmp_path / "ray", engine.tag, read=engine.read)
    errors = [json.loads(row) for row in files["errors.jsonl"].decode().splitlines()]
    assert [(error["item"], error["id"]) for error in errors] == [(1, None), (72, "d70"), (202, "d200")]
    assert "three workers died on it" in errors[1]["reason"]
    assert errors[2]["reason"] == "the model computed scores that are not finite"
    parts = b"".join(files[name] for name in sorted(files) if name.endswith(".jsonl") and "part-" in name)
    written = [json.loads(row)["id"] for row in parts.splitlines()]
    assert written == [f"d{number}" for number in range(300) if number not in kinds]


@pytest.mark.ray
def test_a_node_with_another_bundle_ends_the_run(
    tmp_path: Path, cluster: str, runtime_bundle: Bundle
) -> None:
    inputs = write_inputs(tmp_path / "in", [[line(number) for number in range(300)]])
    engine = RayEngine(loader(runtime_bundle, sha256="0" * 64), workers=1)
    with pytest.raises(RunError, match=r"node .*put the same bundle at this path"):
        run(inputs, tmp_path / "ray", engine.tag, read=engine.read)


@pytest.mark.ray
def test_the_command_writes_the_same_bytes_and_goes_on_when_it_was_killed(
    tmp_path: Path, cluster: str, runtime_bundle: Bundle
) -> None:
    """Killed between parts, and gone on with by the other engine at that: a run does not know its engine."""
    texts = [[DOCUMENTS[number % 8].text for number in range(300)], ["No effect was seen."]]
    lines = [[json.dumps({"id": f"d{n}", "text": text}) for n, text in enumerate(file)] for file in texts]
    write_inputs(tmp_path / "in", [[BAD, *lines[0]], lines[1]])
    words = ["tag", "in", "--to", "jsonl", "--shard", "7", "--bundle", str(runtime_bundle.folder)]
    command = [sys.executable, "-m", "openmed_ner", *words, "--resume"]
    on_ray = [*command, "--engine", "ray", "--address", cluster, "--workers", "2", "-o"]
    assert subprocess.run([*command, "-o", "local"], cwd=tmp_path, check=False).returncode == 1

    with subprocess.Popen([*on_ray, "killed"], cwd=tmp_path) as child:
        while not list(tmp_path.glob("killed/part-*.receipt.json")) and child.poll() is None:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed/receipt.json").exists()
    assert subprocess.run([*command, "-o", "killed"], cwd=tmp_path, check=False).returncode == 1
    assert results(tmp_path / "killed") == results(tmp_path / "local")

    done = subprocess.run([*on_ray, "whole"], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b""), done.stderr.decode()
    assert results(tmp_path / "whole") == results(tmp_path / "local")


def test_a_busy_machine_may_need_longer_than_ray_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    class Ray:
        def init(self, **options: object) -> None:
            tries.append("init")
            raise RuntimeError(message)

        def shutdown(self) -> None:
            tries.append("shutdown")

    message = "The current node timed out during startup."
    with pytest.raises(RunError, match="Ray does not start on this machine"):
        clusters._start(Ray(), "folder", 1, 1)
    assert tries == ["init", "shutdown"] * 3
    tries.clear()
    message = "No room for shared memory."
    with pytest.raises(RunError, match="No room"):
        clusters._start(Ray(), "folder", 1, 1)
    assert tries == ["init", "shutdown"], "what waiting does not mend is not tried again"
