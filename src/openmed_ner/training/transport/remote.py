"""Program for the other machine: unpack a study as its parts arrive, run it, and write results to carry home.

    python3 packed.pyz unpack packed-1-of-3.part      for each part, in any order
    python3 packed.pyz run --minutes 9 --out results  again, until it says "complete"
    python3 packed.pyz results --skip 4 --out results further files, if there are more than fit at once

It needs Python alone; what it starts needs the packages that the parts list. Everything lies in one folder
(``--folder``), and no network is used.
"""

from __future__ import annotations

import argparse
import lzma
import math
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

from openmed_ner.errors import InputError, OpenMedError, RunError
from openmed_ner.storage import atomic_path, read_json, write_json
from openmed_ner.training.transport.parts import SUFFIX, join_parts, read_header, receive_part

PROGRAM = "packed.pyz"
SETTINGS = "packed.json"
STUDY = "study.json"
COMPRESSED = ".packed-xz"
"""Suffix of members of the archive that are compressed."""
STATE = "state.json"
CHECKED = "checked.json"
"""Record of the device for which the machine was checked."""
SAVE_SECONDS = 55.0
"""Time between two writings of the results so far. Checkpoints are at most a minute old, so weights that were
carried home are at most two minutes behind."""
STOPPING_SECONDS = 20.0
"""Time that the study has to end after an interrupt: its processes end, and half-written files go."""
SPARE_MINUTES = 0.5
"""Minutes of a run that are not the study's: for its start, and for the last copy of the results."""
PROGRESS = "progress.json"
"""Record of a step of the study, see :mod:`openmed_ner.training.study.progress`, which needs torch."""
_ROOM, _EXPANDED = 1.3, 4.0
"""Free space that a part needs, relative to its size, and that unpacking needs: archive and contents."""
_BLOCK = 1 << 20


def unpack(paths: list[Path], folder: Path, *, device: str) -> str:
    """Receive parts; unpack and check the machine once all have arrived. Return what is next.

    Raises:
        InputError: a part is damaged or of another packing, or a package is missing.
        RunError: there is too little space or memory, or no CUDA device.
    """
    missing: list[str] = []
    for path in paths:
        size = read_header(path).size
        # A folder that does not exist yet will be on the disk of its parent.
        place = folder if folder.exists() else folder.absolute().parent
        _require_space(place, _ROOM * size)
        missing = receive_part(path, folder / "parts")
    if missing:
        return f"received; still missing: {', '.join(missing)}"

    archive = folder / "archive.tar"
    parts = list((folder / "parts").glob(f"*{SUFFIX}"))
    _require_space(folder, _EXPANDED * sum(path.stat().st_size for path in parts))
    join_parts(parts, archive)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise InputError(f"the parts cannot be unpacked: {error}; pack them again") from error
    # The archive takes as much space as its contents, which the run needs.
    archive.unlink()
    for path in list(folder.rglob(f"*{COMPRESSED}")):
        target = path.with_name(path.name.removesuffix(COMPRESSED))
        with lzma.open(path) as compressed, target.open("wb") as file:
            shutil.copyfileobj(compressed, file, _BLOCK)
        path.unlink()
    _install(folder)
    if device == "auto":
        device = read_settings(folder)["device"]
    check(folder, device=device)
    write_json(folder / CHECKED, {"device": device})
    return f"complete; run it with: python3 {PROGRAM} run --folder {folder} --out RESULTS"


def _require_space(folder: Path, needed: float) -> None:
    """Check the free space.

    Raises:
        RunError: there is too little.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RunError(
            f"{folder} has {free / 1e6:.0f} MB of free space, and {needed / 1e6:.0f} are needed: choose "
            "another --folder"
        )


def _install(folder: Path) -> None:
    """Install the wheels beside what the machine has; nothing of the machine is changed.

    Raises:
        RunError: pip fails.
    """
    wheels = sorted(str(path) for path in (folder / "wheels").glob("*.whl"))
    if not wheels:
        return
    options = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--upgrade", "--target"]
    command = [sys.executable, "-m", "pip", "install", *options, str(folder / "site"), *wheels]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"the wheels could not be installed: {done.stderr.strip()}")


def check(folder: Path, *, device: str) -> None:
    """Check packages, device and memory, in the environment of the run.

    Raises:
        RunError: something is missing; the message was printed.
    """
    command = [sys.executable, "-m", "openmed_ner.training.transport.check", str(folder), device]
    if subprocess.run(command, env=_environment(folder, device), check=False).returncode:
        raise RunError("this machine cannot run the study, see above")


def run(folder: Path, out: Path, *, minutes: float, device: str, save_every: float) -> bool:
    """Run or resume the study until it is done or the time is up; return whether it is done.

    Results so far are written to ``out`` at the end and in between, so that a machine that is taken away has
    left them. If the study has a time limit, its steps divide the minutes of this run, but for a spare half.

    Args:
        folder: folder of the unpacked study.
        out: folder of the results that are carried home.
        minutes: time after which the study is interrupted; 0: none.
        device: ``auto``, ``cpu`` or ``cuda``.
        save_every: seconds between two writings of the results so far.

    Raises:
        InputError: parts are missing.
        RunError: the machine cannot run the study.
    """
    began = time.monotonic()
    settings = read_settings(folder)
    if device == "auto":
        device = settings["device"]
    # Checked when the last part arrived, unless it failed then, or was for another device.
    if not (folder / CHECKED).is_file() or read_json(folder / CHECKED)["device"] != device:
        check(folder, device=device)

    results = folder / "results"
    command = [sys.executable, "-m", "openmed_ner", "reproduce", str(folder / STUDY), "-o", str(results)]
    if (folder / "passages").is_dir():
        command += ["--passages", str(folder / "passages")]
    if (folder / "texts.jsonl").is_file():
        command += ["--texts", str(folder / "texts.jsonl")]
    command += ["--minutes", f"{_study_minutes(folder, minutes):.2f}"]

    saved = began
    status: int | None = None
    with subprocess.Popen(command, env=_environment(folder, device)) as process:
        try:
            while status is None:
                try:
                    # Half a second: short enough for a limit in minutes, and too long to cost anything.
                    status = process.wait(0.5)
                except subprocess.TimeoutExpired:
                    now = time.monotonic()
                    left = 60 * minutes - (now - began) if minutes else math.inf
                    if left < 0:
                        status = _stop(process)
                    # The last copy follows soon, and would come late if the time ended during this one.
                    elif now - saved > save_every and left > save_every:
                        _save(folder, out, settings, seconds=now - began, status=None)
                        saved = time.monotonic()
        except KeyboardInterrupt:
            status = _stop(process)
    print(_save(folder, out, settings, seconds=time.monotonic() - began, status=status))
    print("complete" if status == 0 else f"stopped with status {status}; run it again to resume")
    return status == 0


def _study_minutes(folder: Path, minutes: float) -> float:
    """Return the time limit of the study over all runs: its own, or less in a shorter run. 0 sets none."""
    planned: float = read_json(folder / STUDY)["minutes"]
    if not planned or not minutes:
        return planned
    records = (folder / "results").rglob(PROGRESS)
    spent = sum(float(read_json(path)["seconds"]) for path in records) / 60
    return min(planned, spent + max(minutes - SPARE_MINUTES, minutes / 2))


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _stop(process: subprocess.Popen[bytes]) -> int:
    """Interrupt the study, and kill it if it takes too long. The steps since its last checkpoint are lost."""
    process.send_signal(signal.SIGINT)
    try:
        return process.wait(STOPPING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _save(folder: Path, out: Path, settings: dict[str, Any], *, seconds: float, status: int | None) -> str:
    """Write the results so far, copy those that fit to ``out``, and return what is left.

    A failure ends no study.
    """
    (folder / "results").mkdir(exist_ok=True)
    state = {
        "complete": status == 0,
        "status": status,
        "seconds": round(seconds, 1),
        "commit": settings["commit"],
        "device": _describe_device(),
    }
    write_json(folder / "results" / STATE, state)
    command = [sys.executable, "-m", "openmed_ner.training.transport.results", str(folder)]
    done = subprocess.run(command, env=_environment(folder, "cpu"), check=False)
    if done.returncode:
        return "the results could not be written, see above"
    return copy_results(folder, out, skip=0)


def copy_results(folder: Path, out: Path, *, skip: int) -> str:
    """Copy files of results in order of importance, as many as may be copied at once; return what is left.

    Args:
        folder: folder of the unpacked study.
        out: folder to copy to; parts of an earlier copy in it are removed.
        skip: number of files that were copied before.

    Raises:
        InputError: there are no results yet.
    """
    outgoing = folder / "outgoing"
    if not (outgoing / "order.json").is_file():
        raise InputError(f"{folder} holds no results yet; run the study first")
    names = read_json(outgoing / "order.json")["files"]
    settings = read_settings(folder)
    size, most = settings["result_size"], settings["result_files"]
    chosen: list[str] = []
    for name in names[skip : skip + most]:
        size -= (outgoing / name).stat().st_size
        if size < 0:
            break
        chosen.append(name)

    out.mkdir(parents=True, exist_ok=True)
    for path in out.glob(f"*{SUFFIX}"):
        if path.name not in chosen:
            path.unlink()
    for name in chosen:
        with atomic_path(out / name) as partial:
            shutil.copyfile(outgoing / name, partial)
    left = len(names) - skip - len(chosen)
    more = f"; {left} more: python3 {PROGRAM} results --folder {folder} --skip {skip + len(chosen)} --out OUT"
    return f"{len(chosen)} files in {out}{more if left else ''}"


def read_settings(folder: Path) -> dict[str, Any]:
    """Read the settings of an unpacked study.

    Raises:
        InputError: not all parts have arrived.
    """
    if not (folder / SETTINGS).is_file():
        received = sorted(path.name for path in (folder / "parts").glob(f"*{SUFFIX}"))
        raise InputError(
            f"{folder} holds no unpacked study; received so far: {', '.join(received) or 'nothing'}; "
            f"unpack every part first: python3 {PROGRAM} unpack PART --folder {folder}"
        )
    return read_json(folder / SETTINGS)


def _environment(folder: Path, device: str) -> dict[str, str]:
    """Environment of the run: our source, the installed wheels, and no network."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(folder.absolute() / name) for name in ("source/src", "site")),
        "OPENMED_NER_BACKBONES": str(folder.absolute() / "backbones"),
        "OPENMED_NER_CORPORA": str(folder.absolute() / "corpora"),
        "OPENMED_NER_TERMINOLOGIES": str(folder.absolute() / "terminologies"),
        "OPENMED_NER_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return environment


def _describe_device() -> str:
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no GPU"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--folder", type=Path, default=Path("openmed-ner-run"), help="folder of everything")
    device = argparse.ArgumentParser(add_help=False)
    device.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")

    command = commands.add_parser("unpack", parents=[shared, device], help="receive parts; unpack the last")
    command.add_argument("parts", type=Path, nargs="+", metavar="PART")
    command = commands.add_parser("run", parents=[shared, device], help="run or resume the study")
    command.add_argument("--minutes", type=float, default=0.0, help="time until it is interrupted")
    command.add_argument("--out", type=Path, required=True, help="folder of the results to carry home")
    command.add_argument(
        "--save-every", type=float, default=SAVE_SECONDS, help="seconds between two writings of results"
    )
    command = commands.add_parser("results", parents=[shared], help="copy further files of results")
    command.add_argument("--out", type=Path, required=True, help="folder to copy to")
    command.add_argument("--skip", type=int, default=0, help="number of files that were copied before")

    options = parser.parse_args()
    # A time limit of the machine sends this signal first: what there is, is saved.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if options.command == "unpack":
            print(unpack(options.parts, options.folder, device=options.device))
        elif options.command == "run":
            done = run(
                options.folder,
                options.out,
                minutes=options.minutes,
                device=options.device,
                save_every=options.save_every,
            )
            sys.exit(0 if done else 3)
        else:
            print(copy_results(options.folder, options.out, skip=options.skip))
    except OpenMedError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(f"{PROGRAM}: interrupted")
    except OSError as error:  # a full disk, or a folder that cannot be written
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        sys.exit(RunError.exit_status)
