"""Documents per second of one to N workers: threads of one process, and processes of a cluster, in turn.

    python benchmarks/scaling.py [BUNDLE] [--workers N] [--documents 2000] [--rounds 5] [--data FILE.jsonl]

Every engine tags the same file in its own process, in turn within each round, so a drift of the machine's
speed affects all alike. Each tags one document first, then all. The rate is taken from the difference,
without the start-up: loading the model, starting the cluster and tagging the first document. A cluster's
reader and the collecting process compete with the workers for the cores, as in use. Memory is the peak of a
run over all its processes, with shared pages divided (PSS). Ratios are to one worker without a cluster,
within each round. Texts are the example abstracts in pairs, unless --data names others. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from common import load_texts, make_parser
from openmed_ner.bundle import open_bundle
from openmed_ner.bundle.record import provenance, version
from openmed_ner.bundle.suite import bundle_digest
from openmed_ner.inference.backends import usable_cores
from openmed_ner.inference.jobs.inputs import find_inputs, iter_items
from openmed_ner.inference.jobs.receipt import Chunk, JobCounts, JobProgress
from openmed_ner.inference.tagger import Tagger, embedded_bundle
from openmed_ner.integrations.ray import RayEngine, connect, load_tag

REFERENCE = "local-1"
SAMPLING_SECONDS = 0.5
"""Interval between samples of the memory; a sample costs about ten milliseconds."""


def write_texts(texts: Iterable[str], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts):
            file.write(json.dumps({"id": str(number), "text": text}) + "\n")


def write_nothing(documents: Iterable[object], target: object, *, on_bad: object) -> None:
    for _ in documents:
        pass


def tree_megabytes() -> float:
    """Memory of this process and its descendants, with shared pages divided."""
    children: dict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            children[int(path.read_text().rpartition(")")[2].split()[1])].append(int(path.parent.name))
        except OSError:
            continue  # the process has ended

    processes, total = [Path("/proc/self").resolve().name], 0
    while processes:
        process = processes.pop()
        processes += map(str, children[int(process)])
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


@contextmanager
def watch_memory() -> Iterator[list[float]]:
    """Sample the memory regularly, in a thread."""
    samples, ended = [tree_megabytes()], threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLING_SECONDS):
            samples.append(tree_megabytes())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    yield samples
    ended.set()
    thread.join()


@contextmanager
def start(engine: str, folder: Path) -> Iterator[Callable[[Path], JobCounts]]:
    """Start an engine; yield its function that tags a file."""
    kind, _, number = engine.partition("-")
    workers = int(number)
    if kind == "local":
        yield partial(tag_file, Tagger.load(folder, threads=workers, workers=workers).pipe, iter_items)
        return
    expected: dict[str, Any] = {"sha256": bundle_digest(folder), "version": version()}
    load = partial(load_tag, folder, **expected, backend=None, threads=1, options={}, steps=())
    with connect(workers=workers):
        ray = RayEngine(load, workers)
        yield partial(tag_file, ray.tag, ray.read)


def tag_file(tag: Any, read: Any, path: Path) -> JobCounts:
    chunk = Chunk(read(find_inputs([path])), tag, JobProgress())
    chunk.write(write_nothing, None)
    if not chunk.counts.complete:
        raise SystemExit(f"some documents were not tagged: {chunk.counts}")
    return chunk.counts


def measure(engine: str, bundle: Path, folder: Path) -> dict[str, float]:
    """Tag one document, then all; runs in its own process."""
    begin = time.perf_counter()
    with start(engine, bundle) as tag, watch_memory() as megabytes:
        ready = time.perf_counter()
        tag(folder / "one.jsonl")
        first = time.perf_counter()
        counts = tag(folder / "all.jsonl")
        seconds = (time.perf_counter() - first) - (first - ready)

    if seconds <= 0:
        raise SystemExit(f"{counts.documents} documents took no longer than one; raise --documents")
    return {
        "documents_per_second": (counts.documents - 1) / seconds,
        "start_up_seconds": first - begin,
        "peak_megabytes": max(megabytes),
        "spans": counts.spans,
    }


def summarise(rounds: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """Medians, and ratios to the reference within each round."""
    engines: dict[str, dict[str, Any]] = {}
    for engine in rounds[0]:
        medians = {key: statistics.median(row[engine][key] for row in rounds) for key in rounds[0][engine]}
        speeds = [[row[name]["documents_per_second"] for name in (engine, REFERENCE)] for row in rounds]
        ratios = [speed / reference for speed, reference in speeds]
        engines[engine] = {
            **medians,
            "ratio": statistics.median(ratios),
            "ratio_range": [min(ratios), max(ratios)],
        }
    if len({row["spans"] for row in engines.values()}) != 1:
        raise SystemExit(f"engines disagree: {engines}")
    return engines


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=embedded_bundle())
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    bundle = options.bundle.absolute()
    if options.engine:
        print(json.dumps(measure(options.engine, bundle, options.folder)))
        return

    engines = [f"{kind}-{number}" for kind in ("local", "ray") for number in range(1, options.workers + 1)]
    rounds: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as scratch:
        texts = load_texts(options.data)
        write_texts(texts[:1], Path(scratch) / "one.jsonl")
        write_texts(islice(cycle(texts), options.documents), Path(scratch) / "all.jsonl")
        for number in range(options.rounds):
            rounds.append({})
            for engine in engines:
                command = [sys.executable, __file__, str(bundle), "--engine", engine, "--folder", scratch]
                output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                rounds[-1][engine] = json.loads(output.splitlines()[-1])
                print(f"round {number + 1} {engine}: {rounds[-1][engine]}", flush=True)

    result = {
        "benchmark": "scaling",
        "bundle": open_bundle(bundle).manifest.name,
        "documents": options.documents,
        "characters_per_document": statistics.mean(map(len, texts)),
        "rounds": options.rounds,
        "engines": summarise(rounds),
        **provenance(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
