"""A study is carried to an empty environment, runs there, is cut off, and gives a bundle at home."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from lexicons import build_diseases
from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.errors import InputError, RunError
from openmed_ner.formats.jsonl import write_jsonl
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.model.backbones import find_backbone, weights_sha256
from openmed_ner.model.bundles import ENCODER
from openmed_ner.model.rounding import restore_tensors, round_tensors
from openmed_ner.storage import read_json, write_json
from openmed_ner.training.config import LexiconSettings, Recipe
from openmed_ner.training.engine.history import CHECKPOINT
from openmed_ner.training.study.plan import Study, read_study
from openmed_ner.training.study.progress import read_progress
from openmed_ner.training.study.reproduce import reproduce
from openmed_ner.training.study.specs import ModelSpec
from openmed_ner.training.transport import check, remote
from openmed_ner.training.transport.contents import LEXICON_FILES, TERMINOLOGIES, copy_contents
from openmed_ner.training.transport.packages import NEEDED, missing_packages, needed_packages, read_present
from openmed_ner.training.transport.packing import Packing, PackSettings, pack_study
from openmed_ner.training.transport.results import join_results, write_results
from openmed_ner.training.transport.weights import expand_backbone, round_backbone, round_bundle
from tiny import CORPORA

STUDY = """
title = "A rehearsal"
minutes = 10
adaptation_share = 0.2
weights = "bf16"
[adaptations]
language = "adapt.toml"
[bundles]
published = "published"
[corpora.diseases]
train = "diseases.jsonl"
dev = "diseases.jsonl"
test = "diseases.jsonl"
[models.teacher]
corpora = ["diseases"]
encoders = ["language"]
teacher = "published"
tested = false
weights = "int8"
training = { schedule = { epochs = 2 }, distillation = { scores = "online" } }
[models.student]
corpora = ["diseases"]
encoders = ["none"]
teacher = "teacher"
share = 8.0
[models.student.training]
distillation = { scores = "online" }
augmentation = { share = 0.3 }
schedule = { learning_rate = 1e-7 }
[models.small]
corpora = ["diseases"]
encoders = ["none"]
start = "published"
teacher = "teacher"
training = { layers = [1], compare_start = true }
[models.accurate]
corpora = ["diseases"]
encoders = ["none"]
teacher = "annotated"
training = { method = "lora", lora = { rank = 2, alpha = 4, targets = "all-linear" } }
[teachers.published]
model = "published"
by = "probabilities"
[teachers.teacher]
model = "teacher"
by = "probabilities"
texts = 4
prefer = "names"
[teachers.annotated]
model = "teacher"
by = "probabilities"
[training]
backbone = "tiny"
method = "full"
window = 80
overlap = 16
window_lengths = [40, 80]
dev_documents = 4
leave_out = "nothing"
lexicon = { folder = "compiled" }
[training.schedule]
epochs = 20000
patience = 20000
batch_subwords = 64
shapes = 2
average = 0.9
precision = "fp32"
"""
ADAPTATION = """
backbone = "tiny"
method = "full"
subwords = 1000
head_subwords = 200
window = 40
held_out = 3
[schedule]
epochs = 1
batch_subwords = 160
precision = "fp32"
"""
"""The stages of recipes/gpu.toml, and an adaptation, at toy size. The student is too slow to end before its
time."""
SETTINGS = PackSettings(part_size=400_000, file_size=50_000, device="cpu", wheels=False)
TEACHER, STUDENT = "models/teacher/language/seed-0", "models/student/none/seed-0"
MODELS = "teacher", "student", "small", "accurate"


@pytest.fixture
def study(backbone: Path, full_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    shutil.copytree(full_bundle.folder, tmp_path / "published")
    with (tmp_path / "diseases.jsonl").open("w") as file:
        write_jsonl(CORPORA[0].train, file)
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "adapt.toml").write_text(ADAPTATION)
    build_diseases(tmp_path / "terminologies", ["breast cancer"])
    monkeypatch.setenv("OPENMED_NER_TERMINOLOGIES", str(tmp_path / "terminologies"))
    return read_study(tmp_path / "study.toml")


def pack(study: Study, folder: Path, passages: Path) -> Packing:
    texts = folder / "diseases.jsonl"
    return pack_study(study, folder / "packed", SETTINGS, texts=texts, passages=passages)


def start(packing: Packing, *arguments: str, folder: Path) -> subprocess.Popen[str]:
    """Start the program in an environment that knows nothing of our package."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(packing.program), *arguments, "--folder", "run"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def has_arrived(out: Path, folder: Path) -> bool:
    """Whether the results that a machine has left so far hold weights of the student."""
    with suppress(InputError):  # nothing yet, or just being replaced
        join_results([out], folder)
    return (folder / STUDENT / CHECKPOINT).is_file()


def test_a_lexicon_travels_with_its_short_forms(study: Study, passages: Path, tmp_path: Path) -> None:
    """Augmentation reads the short forms, and would draw other names without them."""
    compiled = build_diseases(tmp_path / "other", ["breast cancer"])
    training = replace(study.training, lexicon=LexiconSettings(str(compiled)))
    named = replace(study, training=training)
    contents = tmp_path / "contents"
    copy_contents(named, contents, form="exact", texts=tmp_path / "diseases.jsonl", passages=passages)
    carried = contents / TERMINOLOGIES / compiled.name
    assert sorted(path.name for path in carried.iterdir()) == sorted(LEXICON_FILES)
    assert all((carried / name).read_bytes() == (compiled / name).read_bytes() for name in LEXICON_FILES)


def test_a_bundle_travels_with_what_reads_its_graph(
    study: Study, passages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that starts from the embedded one needs no file of its backbone, but a package for graphs."""
    contents = tmp_path / "contents"
    copy_contents(study, contents, form="bf16", texts=tmp_path / "diseases.jsonl", passages=passages)
    packed = read_study(contents / "study.json")
    assert packed.bundles == {"published": str(contents / "bundles/published")}
    sources = [open_bundle(Path(place)) for place in (*study.bundles.values(), *packed.bundles.values())]
    assert sources[0].sha256 == sources[1].sha256
    assert needed_packages(study) == NEEDED and "onnx" not in NEEDED

    monkeypatch.setenv("OPENMED_NER_BACKBONES", str(tmp_path / "nowhere"))
    model = ModelSpec(corpora=("diseases",), start="published", training={"method": "full"})
    embedded = replace(
        study,
        minutes=0.0,
        adaptations={},
        teachers={},
        bundles={"published": str(embedded_bundle())},
        models={"student": model},
        training=Recipe(backbone="minilm-l6"),
    )
    assert copy_contents(embedded, tmp_path / "embedded", form="bf16") == {}
    assert not (tmp_path / "embedded/backbones").exists()
    assert needed_packages(embedded) == (*NEEDED, "onnx")
    assert "protobuf" in missing_packages({"numpy"}, needed_packages(embedded))
    searched = replace(embedded, models={"student": replace(model, searched=True)})
    assert "optuna" in needed_packages(searched)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_study_that_is_cut_off_gives_a_bundle_at_home(study: Study, passages: Path, tmp_path: Path) -> None:
    packing = pack(study, tmp_path, passages)
    assert len(packing.parts) > 1
    assert all(path.stat().st_size <= SETTINGS.part_size for path in packing.parts)

    there = tmp_path / "there"
    there.mkdir()
    for number, part in enumerate(reversed(packing.parts), start=1):
        process = start(packing, "unpack", str(part), folder=there)
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        assert ("complete" in output) == (number == len(packing.parts))

    # The machine is taken away while the student is in training.
    process = start(packing, "run", "--out", "out", "--save-every", "20", folder=there)
    try:
        while not has_arrived(there / "out", tmp_path / "look"):
            assert process.poll() is None, process.communicate()
            time.sleep(1.0)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    home = tmp_path / "home"
    files = sorted((there / "out").iterdir())
    assert all(path.stat().st_size <= SETTINGS.file_size for path in files)
    joined = join_results([there / "out"], home)
    assert {"records", "weights"} <= set(joined.archives) and not joined.incomplete
    assert read_progress(home / TEACHER).finished
    progress = read_progress(home / STUDENT)
    assert not progress.finished and 0 < progress.minutes < study.minutes

    # At home it ends where it was, without its teacher. What was not begun, stays so.
    assert not reproduce(study, home, texts=tmp_path / "diseases.jsonl", finish=True)
    assert not (home / "models/small").exists() or not (home / "models/small/none/seed-0/bundle").exists()
    bundle = open_bundle(home / STUDENT / "bundle")
    record = bundle.read_json("run.json")
    assert record["teacher"]["name"] == "teacher" and record["history"]["step"] > 0
    document = Tagger.load(bundle)(CORPORA[0].dev[0].text)
    assert document.meta["coverage"]["complete"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_study_that_ends_in_time_comes_home_whole(study: Study, passages: Path, tmp_path: Path) -> None:
    schedule = replace(study.training.schedule, epochs=2)
    short = replace(study, training=replace(study.training, schedule=schedule))
    packing = pack(short, tmp_path, passages)
    unpacking = start(packing, "unpack", *map(str, packing.parts), folder=tmp_path)
    assert "complete" in unpacking.communicate()[0]
    running = start(packing, "run", "--minutes", "10", "--out", "out", folder=tmp_path)
    output, errors = running.communicate()
    assert running.returncode == 0 and "complete" in output, errors

    # Eight files at most are copied at once, the encoder of the language model last.
    brought = len(list((tmp_path / "out").iterdir()))
    assert 0 < brought <= SETTINGS.files
    while "more:" in output:
        skip = start(packing, "results", "--skip", str(brought), "--out", f"out-{brought}", folder=tmp_path)
        output = skip.communicate()[0]
        files = list((tmp_path / f"out-{brought}").iterdir())
        assert 0 < len(files) <= SETTINGS.files
        brought += len(files)
    joined = join_results(tmp_path.glob("out*"), tmp_path / "home")
    assert len(joined.archives) == 6 and not joined.incomplete, "records, four models and an encoder"
    for name in MODELS:
        (folder,) = (tmp_path / "home/models" / name).glob("*/seed-0/bundle")
        assert Tagger.load(folder)(CORPORA[0].dev[0].text).meta["coverage"]["complete"]
    here = open_bundle(tmp_path / "home" / STUDENT / "bundle")
    there = open_bundle(tmp_path / "run/results" / STUDENT / "bundle")
    assert here.sha256 == there.sha256 and here.read_json("run.json")["commit"]
    (tmp_path / "out" / "records-1-of-1.part").unlink()
    first = next((tmp_path / "out").glob("models-student*-1-of-*"))
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(InputError, match="copy it again"):
        join_results([tmp_path / "out"], tmp_path / "again")


def test_a_machine_is_checked_before_minutes_are_lost(
    study: Study, passages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packing = pack(study, tmp_path, passages)
    folder = tmp_path / "run"
    with pytest.raises(InputError, match="received so far: nothing"):
        remote.run(folder, tmp_path / "out", minutes=1, device="cpu", save_every=1)

    def check_here(folder: Path, *, device: str) -> None:
        check.check_machine(folder, device)

    monkeypatch.setattr(remote, "check", check_here)
    for part in packing.parts[1:]:
        assert "still missing: packed-1-of-" in remote.unpack([part], folder, device="cpu")
    with pytest.raises(InputError, match="received so far: packed-2-of"):
        remote.run(folder, tmp_path / "out", minutes=1, device="cpu", save_every=1)
    assert "complete" in remote.unpack(packing.parts[:1], folder, device="auto")

    with pytest.raises(RunError, match="no CUDA device is visible"):
        check.check_machine(folder, "cuda")
    with pytest.raises(InputError, match="holds no results yet"):
        remote.copy_results(folder, tmp_path / "out", skip=0)
    monkeypatch.setattr(check, "_is_installed", lambda name: name != "bioc")
    with pytest.raises(InputError, match="packages are missing: bioc; pack again"):
        check.check_machine(folder, "cpu")
    monkeypatch.undo()
    monkeypatch.setattr("os.sysconf", lambda name: 1)
    with pytest.raises(RunError, match="needs about"):
        check.check_machine(folder, "cpu")


def test_a_full_disk_is_noticed_before_anything_is_unpacked(
    study: Study,
    passages: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    packing = pack(study, tmp_path, passages)
    total = sum(path.stat().st_size for path in packing.parts)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=2 * total))
    with pytest.raises(RunError, match=r"MB of free space, and .* are needed: choose another --folder"):
        remote.unpack(packing.parts, tmp_path / "run", device="cpu")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["parts"]

    def fail(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(remote, "unpack", fail)
    monkeypatch.setattr(sys, "argv", ["packed.pyz", "unpack", "x.part"])
    with pytest.raises(SystemExit) as ended:
        remote.main()
    assert ended.value.code == 1 and "packed.pyz: [Errno 28] No space left" in capsys.readouterr().err


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """States of the study, which only waits, whenever its results are written."""
    (tmp_path / "openmed_ner").mkdir()
    (tmp_path / "openmed_ner/__init__.py").touch()
    (tmp_path / "openmed_ner/__main__.py").write_text("import time\ntime.sleep(60)\n")
    write_json(tmp_path / "packed.json", {"device": "cpu"})
    write_json(tmp_path / "checked.json", {"device": "cpu"})
    write_json(tmp_path / "study.json", {"minutes": 8.5})
    saved: list[int | None] = []

    def save(folder: Path, out: Path, settings: object, *, seconds: float, status: int | None) -> str:
        saved.append(status)
        return "saved"

    monkeypatch.setattr(remote, "_save", save)
    monkeypatch.setattr(remote, "_environment", lambda folder, device: {"PYTHONPATH": str(tmp_path)})
    return saved


def test_no_results_are_written_shortly_before_the_last(saved: list[int | None], tmp_path: Path) -> None:
    """Writing takes a quarter of a minute, in which the time would end unnoticed."""
    assert not remote.run(tmp_path, tmp_path / "out", minutes=0.05, device="cpu", save_every=1.2)
    assert saved[0] is None and saved[-1] not in (0, None) and len(saved) == 2


def test_the_models_of_a_study_divide_the_minutes_that_a_run_has(
    saved: list[int | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the first ones would take the time of the last, which would never be begun."""
    commands: list[list[str]] = []
    start_process = subprocess.Popen

    def start_noting(command: list[str], **options: object) -> object:
        commands.append(command)
        return start_process(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", start_noting)
    remote.run(tmp_path, tmp_path / "out", minutes=0.02, device="cpu", save_every=60)
    assert commands[0][-2:] == ["--minutes", "0.01"] and len(saved) == 1

    write_json(tmp_path / "study.json", {"minutes": 8.5})
    assert remote._study_minutes(tmp_path, 0) == remote._study_minutes(tmp_path, 9) == 8.5
    assert remote._study_minutes(tmp_path, 7) == 6.5 and remote._study_minutes(tmp_path, 0.4) == 0.2
    step = tmp_path / "results/models/one"
    step.mkdir(parents=True)
    write_json(step / "progress.json", {"seconds": 180.0})
    assert remote._study_minutes(tmp_path, 4) == 6.5 and remote._study_minutes(tmp_path, 9) == 8.5
    write_json(tmp_path / "study.json", {"minutes": 0.0})
    assert remote._study_minutes(tmp_path, 4) == 0


def test_a_run_that_is_told_to_end_saves_what_there_is(
    saved: list[int | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of the machine sends SIGTERM first. The study is interrupted, and its results are written."""
    arguments = ["packed.pyz", "run", "--folder", str(tmp_path), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", arguments)
    before = signal.getsignal(signal.SIGTERM)
    alarm = Timer(2.0, os.kill, (os.getpid(), signal.SIGTERM))
    alarm.start()
    try:
        with pytest.raises(SystemExit) as ended:
            remote.main()
    finally:
        alarm.cancel()
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 3 and len(saved) == 1 and saved[0] not in (0, None)


def test_what_a_study_is_writing_is_not_among_its_results(tmp_path: Path) -> None:
    """It would be gone before it is read, and the copy would fail."""
    write_json(tmp_path / "packed.json", {"file_size": 50_000, "result_size": 400_000})
    run = tmp_path / "results/models/one/none/seed-0"
    for folder in (run / "bundle", run / ".bundle.partial"):
        folder.mkdir(parents=True)
        write_json(folder / "manifest.json", {})
    write_json(run / "scores.json", {})
    write_results(tmp_path)
    files = read_json(tmp_path / "outgoing/order.json")["files"]
    assert files == ["records-1-of-1.part", "models-one-none-seed-0-bundle-1-of-1.part"]
    join_results([tmp_path / "outgoing"], tmp_path / "home")
    assert not list((tmp_path / "home").rglob(".*"))


def test_files_that_are_missing_are_named_when_a_study_is_packed(
    study: Study, passages: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="name them in --texts"):
        pack_study(study, tmp_path / "packed", SETTINGS, passages=passages)
    with pytest.raises(InputError, match="name them in --passages"):
        pack_study(study, tmp_path / "packed", SETTINGS, texts=tmp_path / "diseases.jsonl")
    (tmp_path / "packed" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"holds notes\.txt: choose a new folder"):
        pack(study, tmp_path, passages)
    texts = tmp_path / "diseases.jsonl"
    with pytest.raises(InputError, match="at least 1MB"):
        small = replace(SETTINGS, part_size=10)
        pack_study(study, tmp_path / "other", small, texts=texts, passages=passages)
    other = replace(study.teachers["teacher"], prefer="any", texts=2)
    mixed = replace(study, teachers={**study.teachers, "other": other})
    with pytest.raises(InputError, match=r"teachers\.\*\.prefer: expected the same"):
        pack_study(mixed, tmp_path / "other", SETTINGS, texts=texts, passages=passages)


def test_packages_of_the_other_machine_are_read_as_pip_prints_them(tmp_path: Path) -> None:
    (tmp_path / "freeze.txt").write_text("torch==2.11.0\nbioc @ file:///x\nHuggingface_Hub  1.33\n")
    present = read_present(tmp_path / "freeze.txt")
    assert present == {"torch", "bioc", "huggingface-hub"}
    assert "bioc" in missing_packages(None) and "torch" not in missing_packages(None)
    assert "onnxruntime" not in missing_packages(set()), "no study computes a graph with it"
    assert "lxml" in missing_packages(set(), ["bioc"]) and missing_packages({"bioc"}, ["bioc"]) == {}
    assert "bioc" not in missing_packages(present) and "transformers" in missing_packages(present)


@given(rows=st.lists(st.lists(st.floats(-4, 4, width=32), min_size=3, max_size=3), min_size=1, max_size=4))
@example(rows=[[0.0, 0.0, 2.220446049250313e-16]])
def test_rounding_keeps_weights_within_half_a_step(rows: list[list[float]]) -> None:
    tensors = {"matrix": torch.tensor(rows), "vector": torch.tensor(rows[0]), "count": torch.tensor([7])}
    for form, step in (("exact", 0.0), ("bf16", 2**-8), ("int8", 1 / 254)):
        rounded, error = round_tensors(tensors, form)  # type: ignore[arg-type]
        restored = restore_tensors(rounded)
        assert restored.keys() == tensors.keys() and restored["count"].tolist() == [7]
        largest = tensors["matrix"].abs().amax(dim=1, keepdim=True)
        assert ((restored["matrix"] - tensors["matrix"]).abs() <= 1.01 * step * largest + 1e-9).all()
        assert error <= 2 * max(step, 1e-9)


@pytest.mark.parametrize("form", ["bf16", "int8", "exact"])
def test_a_rounded_backbone_says_what_it_was_made_from(form: str, backbone: Path, tmp_path: Path) -> None:
    error = round_backbone(backbone, tmp_path / "tiny", form)  # type: ignore[arg-type]
    assert (error == 0) == (form == "exact") and error < 0.02
    expand_backbone(tmp_path / "tiny")
    assert weights_sha256(tmp_path / "tiny") == weights_sha256(backbone)
    assert find_backbone(str(tmp_path / "tiny")) == tmp_path / "tiny"


def test_a_bundle_of_eight_bits_is_smaller_and_tags_the_same(full_bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(full_bundle.folder, tmp_path / "copy")
    rounded = round_bundle(open_bundle(tmp_path / "copy"), "int8")
    sizes = [(bundle.folder / ENCODER).stat().st_size for bundle in (full_bundle, rounded)]
    assert sizes[1] < 0.4 * sizes[0] and rounded.sha256 != full_bundle.sha256
    for document in CORPORA[0].dev:
        spans = [Tagger.load(bundle)(document.text).spans for bundle in (full_bundle, rounded)]
        assert [span.key for span in spans[0]] == [span.key for span in spans[1]]


def test_an_adapter_is_not_trained_on_weights_of_eight_bits(
    study: Study, passages: Path, tmp_path: Path
) -> None:
    """Its backbone has 16 bits then, and is taken for the released one."""
    contents, texts = tmp_path / "contents", tmp_path / "diseases.jsonl"
    errors = copy_contents(study, contents, form="int8", texts=texts, passages=passages)
    folder = contents / "backbones/tiny"
    assert read_json(folder / "rounded.json")["format"] == "bf16" and 0 < errors["tiny"] < 0.004
    exact = weights_sha256(find_backbone("tiny"))
    assert weights_sha256(folder, for_adapter=True) == exact
    round_backbone(find_backbone("tiny"), tmp_path / "coarse", "int8")
    assert weights_sha256(tmp_path / "coarse") == exact
    assert weights_sha256(tmp_path / "coarse", for_adapter=True) != exact
