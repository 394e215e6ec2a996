"""``openmed-ner tag``: entities of files, folders or standard input.

Exit status: 0 everything was tagged; 1 some of it could not be, or the run failed; 2 the command line is
wrong, and nothing was begun; 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from openmed_ner.cli.options import Backend, Threads, WorkersOption, read_workers
from openmed_ner.cli.output import complain, open_output, write_table
from openmed_ner.cli.progress import TaggingProgress
from openmed_ner.errors import InputError
from openmed_ner.formats import FOLDER_WRITERS, tagged_writers
from openmed_ner.inference.attributes import STEPS, add_attributes
from openmed_ner.inference.jobs.inputs import FORMATS, STDIN, Input, Problem, find_inputs, iter_items
from openmed_ner.inference.jobs.job import ERRORS, ItemReader, Job
from openmed_ner.inference.jobs.receipt import Chunk, JobCounts, TagFunction, make_receipt
from openmed_ner.text import Document

if TYPE_CHECKING:
    from openmed_ner.inference.backends import Workers
    from openmed_ner.inference.tagger import Tagger

_SUFFIXES = {
    "jsonl": "jsonl",
    "csv": "csv",
    "conll": "conll",
    "pubtator": "pubtator",
    "bioc-xml": "xml",
    "bioc-json": "json",
    "html": "html",
}
"""What the parts of a run are called, by format."""


def _never_refuses(write: Callable[[Iterable[Document], TextIO], None]) -> Callable[..., None]:
    """A writer that can hold any document, to be called like those that cannot."""
    return lambda documents, file, on_bad: write(documents, file)


def _targets(*, attributes: bool = False) -> dict[str, Callable[..., None]]:
    writers = tagged_writers(attributes=attributes)
    return {"table": _never_refuses(write_table), **writers, "html": _never_refuses(writers["html"])}


_FORMATS = (*_targets(), *FOLDER_WRITERS)
_ENGINES = ("local", "ray")


def tag(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files, folders or quoted patterns ('**/*.jsonl.gz'); - or nothing reads standard input."
        ),
    ] = None,
    source: Annotated[
        str, typer.Option("--from", help=f"Input format: auto, {', '.join(FORMATS)}.", metavar="FORMAT")
    ] = "auto",
    target: Annotated[
        str, typer.Option("--to", help=f"Output format: {', '.join(_FORMATS)}.", metavar="FORMAT")
    ] = "table",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Write to this file (brat, --shard: folder), not to standard output."
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Folder of the bundle, or of a suite of them; the embedded one by default."),
    ] = None,
    corpora: Annotated[
        str | None, typer.Option(help="Heads to use, separated by commas; all by default.")
    ] = None,
    types: Annotated[
        str | None,
        typer.Option(
            help="Entity types to keep, separated by commas; all by default. "
            "The layers of a type become one, unless --corpora names layers."
        ),
    ] = None,
    threshold: Annotated[float, typer.Option(help="Lowest score to keep, 0 to 1.")] = 0.0,
    add: Annotated[
        str | None,
        typer.Option(help=f"Add attributes to entities: {', '.join(STEPS)}, separated by commas."),
    ] = None,
    backend: Backend = None,
    threads: Threads = None,
    workers: WorkersOption = None,
    shard: Annotated[
        int | None,
        typer.Option(min=1, help="Write parts of this many documents into a folder, to be resumed."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    receipt: Annotated[
        Path | None, typer.Option(help="Write the coverage receipt to this file; --shard has its own.")
    ] = None,
    errors: Annotated[
        Path | None,
        typer.Option(help="Write what could not be tagged to this file, as JSON lines; --shard has its own."),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help=f"Where to compute: {', '.join(_ENGINES)}; ray takes a process per worker, or a cluster."
        ),
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="A running cluster of Ray, host:port or auto; a local one by default.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Find biomedical entities in text.

    What cannot be tagged is reported and the rest is tagged; the exit status is then 1.
    """
    from openmed_ner.inference.tagger import Tagger, embedded_bundle

    inputs = find_inputs(files or [STDIN], format=None if source == "auto" else source)
    _check(inputs, target, output, shard=shard, resume=resume, sides=(receipt, errors))
    n_workers = read_workers(workers)
    _check_engine(engine, address, inputs, output, n_workers)
    if not files and sys.stdin.isatty():
        raise InputError("nothing to tag: name a file or a folder, or pipe text in")
    options = {"corpora": _split(corpora), "types": _split(types), "threshold": threshold}
    steps = _split(add) or []
    folder = bundle or embedded_bundle()
    ours: dict[str, Any] = {"threads": threads, "workers": n_workers} if engine == "local" else {"threads": 1}
    load = partial(Tagger.load, bundle, backend=backend, **ours)
    tagging, identity = _load(load, folder, options, steps)
    write = FOLDER_WRITERS[target] if target in FOLDER_WRITERS else _targets(attributes=bool(steps))[target]
    hidden = quiet or not sys.stderr.isatty() or (output is None and sys.stdout.isatty())
    on_problem = complain if shard is None and errors is None else _ignore
    try:
        with ExitStack() as stack:
            read: ItemReader = iter_items
            if engine == "ray":
                tagging, read = stack.enter_context(
                    _on_cluster(
                        identity, folder, backend, address=address, threads=threads, workers=n_workers
                    )
                )
            progress = TaggingProgress([each.size for each in inputs], quiet=hidden, on_problem=on_problem)
            watcher = stack.enter_context(progress)
            if shard is not None and output is not None:
                job = Job(inputs, output, _SUFFIXES[target], tagging, write, shard, identity, read)
                counts, errors = job.run(resume=resume, progress=watcher), output / ERRORS
            else:
                start = monotonic()
                chunk = Chunk(read(inputs, on_open=watcher.open), tagging, watcher)
                if target in FOLDER_WRITERS:
                    chunk.write(write, output)
                else:
                    with open_output(output) as file:
                        chunk.write(write, file)
                counts = chunk.counts
                page = make_receipt(identity, inputs, counts, seconds=monotonic() - start)
                _write_sides(page, receipt, chunk.problems, errors)
    except KeyboardInterrupt:
        complain("interrupted" + ("; go on with --resume" if shard else ""))
        raise typer.Exit(130) from None
    _report(counts, errors, quiet=quiet or shard is None)


def _ignore(reason: str) -> None:
    """Say nothing: it stands in the file of errors."""


def _check(
    inputs: Sequence[Input],
    target: str,
    output: Path | None,
    *,
    shard: int | None,
    resume: bool,
    sides: Sequence[Path | None],
) -> None:
    """Refuse a command line that cannot mean anything, before a model is loaded."""
    if target not in _FORMATS:
        raise InputError(f"unknown output format {target!r}; known: {', '.join(_FORMATS)}")
    if target in FOLDER_WRITERS and output is None:
        raise InputError(f"--to {target} writes a folder; name it with --output")
    for side in filter(None, sides):
        if side.is_dir() or not side.parent.is_dir():
            raise InputError(f"{side}: cannot be written: it is a folder, or would stand in none")
    if shard is None:
        if resume:
            raise InputError("--resume goes on with a run in parts; say how large they are with --shard")
        return
    if output is None or (output.exists() and not output.is_dir()):
        raise InputError("--shard writes parts into a folder; name it with --output")
    if target not in _SUFFIXES:
        raise InputError(f"--to {target} cannot be written in parts; choose one of {', '.join(_SUFFIXES)}")
    if any(each.path == STDIN for each in inputs):
        raise InputError("standard input cannot be read again, so there are no parts of it; name files")
    if any(sides):
        raise InputError("--shard writes receipt.json and errors.jsonl into its folder; name no others")


def _check_engine(
    engine: str, address: str | None, inputs: Sequence[Input], output: Path | None, workers: Workers
) -> None:
    if engine not in _ENGINES:
        raise InputError(f"unknown engine {engine!r}; known: {', '.join(_ENGINES)}")
    if engine == "local":
        if address is not None:
            raise InputError("--address is that of a cluster; add --engine ray")
        return
    if output is None:
        raise InputError("--engine ray writes to a file or a folder; name it with --output")
    if any(each.path == STDIN for each in inputs):
        raise InputError("--engine ray reads files from several processes; it cannot read standard input")
    if workers == "auto":
        raise InputError("--workers auto is for --engine local: by ray, each worker is a process")


@contextmanager
def _on_cluster(
    identity: Mapping[str, Any],
    folder: Path,
    backend: str | None,
    *,
    address: str | None,
    threads: int | None,
    workers: Workers,
) -> Iterator[tuple[TagFunction, ItemReader]]:
    """What tags and what reads on a cluster, which is there as long as this is."""
    from openmed_ner.integrations.ray import RayEngine, connect, load_tag

    assert workers != "auto"  # see _check_engine
    each = 1 if threads is None or workers is None else max(1, threads // workers)
    options = dict(identity["options"])
    load = partial(
        load_tag,
        folder.absolute(),
        sha256=identity["bundle"]["sha256"],
        version=identity["version"],
        backend=backend,
        threads=each,
        steps=options.pop("add"),
        options=options,
    )
    with connect(address=address, workers=workers or threads, threads=each) as n_workers:
        engine = RayEngine(load, n_workers, threads=each)
        yield engine.tag, engine.read


def _load(
    load: Callable[[], Tagger], folder: Path, options: Mapping[str, Any], steps: Sequence[str]
) -> tuple[TagFunction, dict[str, Any]]:
    """A tagger with its options, which are checked, and whatever decides what it gives."""
    from openmed_ner.bundle.record import version
    from openmed_ner.bundle.suite import bundle_digest

    tagger = load()

    def tagging(documents: Iterable[Document]) -> Iterator[Document]:
        return add_attributes(tagger.pipe(documents, **options), steps)

    for _ in tagging(()):
        pass
    held = {"name": tagger.manifest.name, "sha256": bundle_digest(folder), "backend": tagger.backend}
    return tagging, {"version": version(), "bundle": held, "options": {**options, "add": [*steps]}}


def _write_sides(
    page: Mapping[str, Any], receipt: Path | None, problems: Sequence[Problem], errors: Path | None
) -> None:
    """Write the receipt and the errors where they are wanted."""
    if receipt is not None:
        with open_output(receipt) as file:
            file.write(json.dumps(page, indent=1, ensure_ascii=False) + "\n")
    if errors is not None:
        with open_output(errors) as file:
            file.writelines(json.dumps(asdict(problem), ensure_ascii=False) + "\n" for problem in problems)


def _report(counts: JobCounts, errors: Path | None, *, quiet: bool) -> None:
    """Say how a run has ended, on standard error and by its exit status."""
    documents = f"{counts.documents:,} {'document' if counts.documents == 1 else 'documents'} tagged"
    if not counts.complete:
        unread = f", {counts.unread:,} of them not to the end" if counts.unread else ""
        failed = f"{counts.errors:,} {'error' if counts.errors == 1 else 'errors'}"
        complain(f"{documents}{unread}, {failed}" + (f"; see {errors}" if errors else ""))
        raise typer.Exit(1)
    if not quiet:
        complain(f"{documents}, {counts.spans:,} entities")


def _split(names: str | None) -> list[str] | None:
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]
