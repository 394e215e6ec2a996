"""The HTTP service under load against the offline engine: the same bundle, the same texts, in turn.

    python benchmarks/service.py [--seconds 60] [--clients 64] [--rounds 3] [--bundle FOLDER] [--data FILE]
    python benchmarks/service.py --uploads [--clients 64] [--bundle FOLDER]

In each round the offline engine tags texts for a third of the time in its own process. Then a server is
started, and all clients send one text at a time, as fast as it responds. After a 429, a client waits for the
time that the server names. The clients run in this process, on the same cores. Texts are the example
abstracts in pairs (about 300 subwords), unless --data names others. The server's memory is sampled during
the run. The last line is JSON. ``ratio`` is the median, over rounds, of the service's documents per second
to the engine's.

With ``--uploads``, files that were made to take memory are uploaded instead, each alone and then by all
clients at once. The server's peak memory above that of its idle state, after some texts, is reported as a
multiple of the limit on bodies. While all clients upload, a short text is sent again and again. Every answer
counts, refusals too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import httpx

from common import load_texts, make_parser
from openmed_ner.bundle.record import provenance
from openmed_ner.service.settings import ServiceSettings
from openmed_ner.tagging.prediction import BUFFER

SAMPLES = 11
"""Samples of the server's memory, evenly over the run."""


def measure_engine(bundle: str | None, texts: list[str], seconds: float) -> float:
    """Documents per second of ``Tagger.pipe``; runs in its own process."""
    import openmed_ner

    tagger = openmed_ner.load(bundle)
    list(tagger.pipe(texts[:1], layers=True))
    stream = cycle(texts)
    begin = time.perf_counter()
    n_documents = 0
    while (elapsed := time.perf_counter() - begin) < seconds:
        n_documents += sum(1 for _ in tagger.pipe(islice(stream, BUFFER), layers=True))
    return n_documents / elapsed


def forget_peak(pid: int) -> None:
    """Let the peak of a process begin at its present memory (Linux)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def resident_megabytes(pid: int, name: str = "VmRSS") -> float:
    match = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1024 if match else float("nan")


async def drive(url: str, texts: list[str], clients: int, seconds: float, pid: int) -> dict[str, Any]:
    """Send requests from many clients at once; return speed, latencies, statuses and memory."""
    statuses: Counter[str] = Counter()
    latencies: list[float] = []
    memory: list[float] = []
    begin = time.perf_counter()
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=url, timeout=150, limits=limits) as http:

        async def send(number: int) -> None:
            while time.perf_counter() - begin < seconds:
                number += 1
                sent = time.perf_counter()
                response = await http.post("/tag", json={"text": texts[number % len(texts)]})
                statuses[str(response.status_code)] += 1
                if response.status_code == 429:
                    await asyncio.sleep(float(response.headers["Retry-After"]))
                else:
                    latencies.append(time.perf_counter() - sent)

        async def watch() -> None:
            for _ in range(SAMPLES):
                await asyncio.sleep(seconds / (SAMPLES + 1))
                memory.append(resident_megabytes(pid))

        await asyncio.gather(watch(), *(send(number) for number in range(clients)))
        elapsed = time.perf_counter() - begin

    cuts = statistics.quantiles(latencies, n=100)
    return {
        "documents_per_second": statuses["200"] / elapsed,
        "p50_seconds": cuts[49],
        "p99_seconds": cuts[98],
        "statuses": dict(statuses),
        "megabytes": memory,
    }


def _repeat(row: str, head: str, tail: str = "", size: int = 9_000_000) -> bytes:
    return (head + row * ((size - len(head) - len(tail)) // len(row)) + tail).encode()


def hostile_files() -> dict[str, tuple[str, bytes]]:
    """Name and content of files that are small for what they make a reader build."""
    passage = (
        '{"offset":0,"infons":{},"text":"","sentences":[],"annotations":[],"relations":[],"x":"' + "x" * 130
    ) + '"}'
    head = '{"documents":[{"id":"1","infons":{},"passages":['
    tail = '],"annotations":[],"relations":[]}]}'
    return {
        "CSV that repeats an id": ("a.csv", _repeat("1,\n", "id,text\n1,aspirin\n")),
        "CSV with a quote that is not closed": ("a.csv", _repeat('1,"\n', "id,text\n1,aspirin\n")),
        "BioC JSON, empty passages": ("a.json", _repeat(passage + ",", head, passage + tail)),
        "BioC XML, passages without text": (
            "a.xml",
            _repeat(
                f"<passage><infon key='x'>{'x' * 50}</infon><offset>0</offset></passage>",
                "<collection><document><id>1</id>",
                "</document></collection>",
            ),
        ),
        "PubTator of long lines": ("a.pubtator", f"1|t|{'a ' * 200_000}\n1|a|{'a ' * 200_000}\n".encode()),
        "PubTator with bad mentions": (
            "a.pubtator",
            _repeat("1\t0\t99999\taspirin and a long name\tX\n", f"1|t|{'a' * 100_000}\n"),
        ),
        "JSON of empty objects": ("a.json", _repeat('{"a":{}},', "[", "{}]")),
    }


async def upload(url: str, texts: list[str], clients: int, pid: int) -> dict[str, Any]:
    """Send hostile uploads, each alone and then all at once; return statuses, memory and latencies."""
    files = hostile_files()
    limit = ServiceSettings().max_body / 1e6
    limits = httpx.Limits(max_connections=clients + 1)
    async with httpx.AsyncClient(base_url=url, timeout=300, limits=limits) as http:
        # Both lanes tag once, since the memory of a model at work is no matter of uploads.
        await asyncio.gather(
            *(http.post("/tag", json={"text": text * 40}) for text in (texts[0], texts[0][:50]))
        )
        idle = resident_megabytes(pid)

        async def send(name: str) -> str:
            response = await http.post("/tag/file", files={"file": files[name]})
            error = response.json().get("error")
            return f"{response.status_code} {error['code'] if error else 'tagged'}"

        rows = {}
        for name in files:
            forget_peak(pid)
            begin = time.perf_counter()
            status = await send(name)
            rows[name] = {
                "bytes": len(files[name][1]),
                "status": status,
                "seconds": time.perf_counter() - begin,
                "multiple": (resident_megabytes(pid, "VmHWM") - idle) / limit,
            }
            print(name, rows[name], flush=True)

        forget_peak(pid)
        tasks = [asyncio.create_task(send(name)) for name in islice(cycle(files), clients)]
        latencies = []
        while not all(task.done() for task in tasks):
            begin = time.perf_counter()
            response = await http.post("/tag", json={"text": "Aspirin for asthma."})
            if response.status_code == 200:
                latencies.append(time.perf_counter() - begin)
            await asyncio.sleep(0.5)
        statuses = Counter(await asyncio.gather(*tasks))
        peak = resident_megabytes(pid, "VmHWM")

    return {
        "idle_megabytes": idle,
        "files": rows,
        "clients": clients,
        "statuses": dict(statuses),
        "multiple": (peak - idle) / limit,
        "megabytes_afterwards": resident_megabytes(pid),
        "short_text_seconds": statistics.median(latencies),
        "short_text_longest_seconds": max(latencies),
    }


def measure_service(
    bundle: str | None, drive: Callable[[str, int], Coroutine[Any, Any, dict[str, Any]]]
) -> dict[str, Any]:
    """Start a server, drive it, and stop it.

    Args:
        bundle: folder of the bundle; the embedded one if ``None``.
        drive: sends requests to a URL whose server has a process id.
    """
    code = "from openmed_ner.cli.main import main; main()"
    command = [sys.executable, "-c", code, "serve", "--port", "0", *(["--bundle", bundle] if bundle else [])]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        result = asyncio.run(drive(url, server.pid))
    finally:
        server.send_signal(signal.SIGTERM)
        result_code = server.wait(150)
    return {**result, "exit_status": result_code}


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bundle")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--uploads", action="store_true")
    parser.add_argument("--engine", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    texts = load_texts(options.data)
    if options.engine:
        print(measure_engine(options.bundle, texts, options.seconds))
        return

    if options.uploads:
        uploads = measure_service(options.bundle, lambda url, pid: upload(url, texts, options.clients, pid))
        print(json.dumps({"benchmark": "uploads", **uploads, **provenance()}))
        return

    rounds = []
    for number in range(options.rounds):
        command = [sys.executable, __file__, "--engine", "--seconds", str(options.seconds / 3)]
        command += ["--bundle", options.bundle] if options.bundle else []
        command += ["--data", str(options.data)] if options.data else []
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        row = {"engine_documents_per_second": float(output)}
        row |= measure_service(
            options.bundle, lambda url, pid: drive(url, texts, options.clients, options.seconds, pid)
        )
        row["ratio"] = row["documents_per_second"] / row["engine_documents_per_second"]
        rounds.append(row)
        print(f"round {number + 1}: {row}", flush=True)

    result = {
        "benchmark": "service",
        "clients": options.clients,
        "seconds": options.seconds,
        "characters_per_text": statistics.mean(map(len, texts)),
        "ratio": statistics.median(row["ratio"] for row in rounds),
        "p99_seconds": max(row["p99_seconds"] for row in rounds),
        "rounds": rounds,
        **provenance(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
