"""Carry a study to a machine without a network, run it there in a few timed calls, bring the results home.

    here:   python tools/box.py pack -o DIR --backbones DIR --corpora DIR --terminologies DIR --python 3.12
    there:  python tools/box.py receive DIR/part-N                        once per part
            python tools/box.py run STUDY.toml --seconds 480 --out OUT    again, until it says "complete"
            python tools/box.py send --out OUT --first 0                  again with --first 4, 8 …
    here:   python tools/box.py join PARTS -o DIR

The other machine needs Python, torch, transformers and this repository's source, but not the embedded
model, which may be moved away. Pure Python packages that it lacks come as wheels. A part has at most 40 MB,
so that source and part fit into 60 MB, and carries the SHA-256 of its content and of the whole. A run that is
cut off leaves its checkpoints; the next call resumes it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BOX = Path(os.environ.get("OPENMED_NER_BOX", "/tmp/openmed-ner-box"))
"""Where everything lies on the other machine."""
PART_BYTES = 40_000_000
RESULT_BYTES = 15_000_000
"""Size of a file of results; the largest that is carried home has 16 MiB."""
FILES_PER_CALL = 4
STOPPING_SECONDS = 20
"""Time that a run has to end after it was interrupted; a checkpoint is at most a minute old."""
WHEELS = ("bioc", "intervaltree", "jsonlines", "rich", "shellingham", "typer")
"""Packages that a machine with torch, transformers, peft, accelerate, onnx and pyyaml still lacks."""
LEXICON_FILES = ("lexicon.npy", "manifest.json")
"""Files of compiled terminologies that training reads."""
_INDEX = "part.json"
_CONTENT = "content"


def pack(
    target: Path, *, backbones: Path, corpora: Path, terminologies: Path | None = None, python: str
) -> list[Path]:
    """Write parts that hold backbones, corpora, a lexicon and wheels.

    Args:
        target: new folder of the parts.
        backbones: folder with one folder per backbone, and no others than the study needs.
        corpora: folder of the corpus archives.
        terminologies: folder with one folder of compiled terminologies per name that the study needs; only
            their lexicons travel. None: the study needs no lexicon.
        python: version of Python on the other machine, such as ``3.12``.
    """
    buffer = io.BytesIO()
    with TemporaryDirectory() as wheels, tarfile.open(fileobj=buffer, mode="w") as archive:
        _download(Path(wheels), python)
        for name, folder in (("backbones", backbones), ("corpora", corpora), ("wheels", wheels)):
            archive.add(folder, name)
        for path in sorted(terminologies.glob("*/*")) if terminologies else ():
            if path.name in LEXICON_FILES:
                archive.add(path, f"terminologies/{path.relative_to(terminologies).as_posix()}")
    return split(buffer.getvalue(), target, PART_BYTES)


def _download(folder: Path, python: str) -> None:
    """Download the pinned wheels that the other machine lacks."""
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    options = [
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--python-version",
        python,
        "--dest",
        str(folder),
    ]
    names = [f"{name}=={pins[name]}" if name in pins else name for name in WHEELS]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, *names], check=True)


def split(content: bytes, target: Path, size: int) -> list[Path]:
    """Write some bytes as folders ``part-N``, each with its place and digests."""
    shutil.rmtree(target, ignore_errors=True)
    chunks = [content[start : start + size] for start in range(0, len(content), size)]
    folders = []
    for number, chunk in enumerate(chunks):
        folder = target / f"part-{number}"
        folder.mkdir(parents=True)
        (folder / _CONTENT).write_bytes(chunk)
        index = {"number": number, "of": len(chunks), "sha256": digest(chunk), "whole": digest(content)}
        (folder / _INDEX).write_text(json.dumps(index))
        folders.append(folder)
    return folders


def receive(part: Path) -> str:
    """Keep one part; unpack when it is the last that was missing. Return what is still missing."""
    index, content = _read_part(part)
    kept = BOX / "parts" / index["whole"] / str(index["number"])
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(content)

    missing = [number for number in range(index["of"]) if not (kept.parent / str(number)).exists()]
    if missing:
        return f"part {index['number']} received; missing: {', '.join(map(str, missing))}"

    whole = b"".join((kept.parent / str(number)).read_bytes() for number in range(index["of"]))
    if digest(whole) != index["whole"]:
        raise SystemExit("the parts do not add up to what was packed: send all of them again")
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        archive.extractall(BOX, filter="data")
    _install()
    return "complete"


def run(study: Path, out: Path, *, seconds: float, device: str) -> int:
    """Run or resume the study until it is done or the time is up; write its state to ``out``."""
    began = time.monotonic()
    if not (BOX / "corpora").is_dir():
        raise SystemExit("parts are missing: call receive for each of them first")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(BOX / "site")]),
        "OPENMED_NER_BACKBONES": str(BOX / "backbones"),
        "OPENMED_NER_CORPORA": str(BOX / "corpora"),
        "OPENMED_NER_TERMINOLOGIES": str(BOX / "terminologies"),
        "OPENMED_NER_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    results = BOX / "results"
    command = [sys.executable, "-m", "openmed_ner", "reproduce", str(study), "-o", str(results)]
    energy_before = _read_energy()
    with subprocess.Popen(command, env=environment, cwd=ROOT) as process:
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                status = process.wait(STOPPING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                status = process.wait()

    state = {
        "status": status,
        "complete": status == 0,
        "seconds": round(time.monotonic() - began, 1),
        "device": _describe_device(),
        "gpu_kwh": None if energy_before is None else (_read_energy() or energy_before) - energy_before,
        "files": {path.relative_to(results).as_posix(): path.stat().st_size for path in _files(results)},
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "state.json").write_text(json.dumps(state, indent=1))
    with tarfile.open(out / "records.tar.xz", "w:xz") as archive:
        for path in _files(results):
            if path.suffix in (".json", ".md", ".toml") or path.name == "log.jsonl":
                archive.add(path, path.relative_to(results).as_posix())
    print("complete" if state["complete"] else f"stopped with status {status} after {state['seconds']} s")
    return 0


def send(out: Path, *, first: int, patterns: Sequence[str]) -> None:
    """Put the next result files into ``out``: bundles of the models that are done."""
    parts = BOX / "sending"
    if first == 0:
        buffer = io.BytesIO()
        results = BOX / "results"
        with tarfile.open(fileobj=buffer, mode="w:xz", preset=0) as archive:
            for path in sorted({path for pattern in patterns for path in results.glob(pattern)}):
                archive.add(path, path.relative_to(results).as_posix())
        split(buffer.getvalue(), parts, RESULT_BYTES)
    out.mkdir(parents=True, exist_ok=True)
    folders = sorted(parts.iterdir(), key=lambda path: int(path.name.rpartition("-")[2]))
    for folder in folders[first : first + FILES_PER_CALL]:
        shutil.copytree(folder, out / folder.name, dirs_exist_ok=True)
    left = len(folders) - first - FILES_PER_CALL
    print("all sent" if left <= 0 else f"{left} left: send --first {first + FILES_PER_CALL}")


def join(parts: Path, target: Path) -> None:
    """Verify the parts that came home and unpack them."""
    contents = [_read_part(path.parent) for path in sorted(parts.rglob(_INDEX))]
    contents.sort(key=lambda pair: pair[0]["number"])
    numbers = [index["number"] for index, _ in contents]
    expected = list(range(contents[0][0]["of"])) if contents else [0]
    if numbers != expected:
        raise SystemExit(f"{parts} holds parts {numbers}; expected {expected}")
    whole = b"".join(content for _, content in contents)
    if digest(whole) != contents[0][0]["whole"]:
        raise SystemExit(f"{parts}: the parts do not add up to what was sent")
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        archive.extractall(target, filter="data")


def digest(content: bytes) -> str:
    """SHA-256 of some bytes; the package's own function would need the package."""
    return hashlib.sha256(content).hexdigest()


def _read_part(folder: Path) -> tuple[dict[str, Any], bytes]:
    index = json.loads((folder / _INDEX).read_text())
    content = (folder / _CONTENT).read_bytes()
    if digest(content) != index["sha256"]:
        raise SystemExit(f"{folder} is damaged: send it again")
    return index, content


def _install() -> None:
    """Install the wheels beside what the machine has; nothing of the machine is changed."""
    wheels = sorted(str(path) for path in (BOX / "wheels").glob("*.whl"))
    if wheels:
        options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--upgrade", "--target"]
        subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, str(BOX / "site"), *wheels], check=True
        )


def _read_energy() -> float | None:
    """Energy that the GPU has used since its driver was loaded, in kWh, by its own meter."""
    try:
        import pynvml

        pynvml.nvmlInit()
        millijoules = pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(0))
    except Exception:  # no such package, no GPU, or one without a meter
        return None
    return float(millijoules) / 3.6e9


def _describe_device() -> str:
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "no GPU"
    return done.stdout.strip()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("pack")
    command.add_argument("-o", "--output", type=Path, required=True)
    for name in ("backbones", "corpora"):
        command.add_argument(f"--{name}", type=Path, required=True)
    command.add_argument("--terminologies", type=Path)
    command.add_argument("--python", default="3.12")
    commands.add_parser("receive").add_argument("part", type=Path)
    command = commands.add_parser("run")
    command.add_argument("study", type=Path)
    command.add_argument("--seconds", type=float, required=True)
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--device", choices=("auto", "cpu"), default="auto")
    command = commands.add_parser("send")
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--first", type=int, default=0)
    command.add_argument("--files", nargs="+", default=["models/joint/**/bundle/**/*"])
    command = commands.add_parser("join")
    command.add_argument("parts", type=Path)
    command.add_argument("-o", "--output", type=Path, required=True)

    options = parser.parse_args()
    if options.command == "pack":
        folders = pack(
            options.output,
            backbones=options.backbones,
            corpora=options.corpora,
            terminologies=options.terminologies,
            python=options.python,
        )
        print(*folders, sep="\n")
    elif options.command == "receive":
        print(receive(options.part))
    elif options.command == "run":
        sys.exit(run(options.study, options.out, seconds=options.seconds, device=options.device))
    elif options.command == "send":
        send(options.out, first=options.first, patterns=options.files)
    else:
        join(options.parts, options.output)


if __name__ == "__main__":
    main()
