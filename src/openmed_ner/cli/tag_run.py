"""A run of ``openmed-ner tag``: its options, the place of its output and the place of its computation.

Each part checks what it can before a model is loaded, which takes longer than everything else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, TextIO

from openmed_ner.cli.output import (
    check_outputs,
    check_stdout,
    open_output,
    write_output,
    write_summary,
    write_table,
)
from openmed_ner.cli.progress import TaggingProgress
from openmed_ner.errors import InputError, require_extra
from openmed_ner.formats import (
    FOLDER_WRITERS,
    REGISTRY,
    TEXTLESS,
    WRITERS,
    infer_written_format,
    tagged_writers,
)
from openmed_ner.formats.parquet import check_folder
from openmed_ner.inference.attributes import IdentifierOptions, add_attributes
from openmed_ner.inference.backends import Workers
from openmed_ner.inference.jobs.inputs import STDIN, Input, Problem
from openmed_ner.inference.jobs.live import LiveText, tag_what_has_arrived
from openmed_ner.inference.jobs.receipt import Chunk, JobCounts, TagFunction, make_receipt
from openmed_ner.inference.tagger import Tagger
from openmed_ner.storage import check_uncompressed
from openmed_ner.text import Document

if TYPE_CHECKING:
    from openmed_ner.inference.jobs.job import ItemReader

Engine = Literal["local", "ray"]
_FOR_PEOPLE = {"table": write_table, "summary": write_summary}
"""Writers of output that is not read back."""


@dataclass(frozen=True, slots=True)
class TaggingOptions:
    """Options that decide the entities of a document.

    Attributes:
        corpora: heads to use; all if ``None``.
        types: entity types to keep; the main types if ``None``.
        layers: if true, a layer for each head instead of one for each type.
        threshold: lowest score to keep.
        add: attributes to add.
        document_decoding: if true, the whole document may decide a mention.
        identifiers: terminologies and vocabularies.
    """

    corpora: list[str] | None
    types: list[str] | None
    layers: bool
    threshold: float
    add: list[str]
    document_decoding: bool = True
    identifiers: IdentifierOptions = field(default_factory=IdentifierOptions)

    def for_tagger(self) -> dict[str, Any]:
        """Keyword arguments of :meth:`openmed_ner.inference.tagger.Tagger.pipe`."""
        return {name: value for name, value in asdict(self).items() if name not in ("add", "identifiers")}

    def to_json(self) -> dict[str, Any]:
        """Record of the options for receipts and plans, with the digests of the terminologies in use."""
        return {**self.for_tagger(), "add": self.add, **self.identifiers.to_json(self.add)}

    @property
    def add_attributes(self) -> bool:
        """True if mentions get attributes."""
        return bool(self.add or self.identifiers.list_linked(self.add) or self.identifiers.match)

    def bind(self, tagger: Tagger) -> TagFunction:
        """A tagger with these options.

        Raises:
            InputError: the tagger has no such corpus or type, or the threshold is not a share.
            MissingExtraError: an attribute needs a package that is not installed.
        """

        def tag_documents(documents: Iterable[Document]) -> Iterator[Document]:
            tagged = tagger.pipe(documents, **self.for_tagger())
            return add_attributes(tagged, self.add, self.identifiers)

        for _ in tag_documents(()):  # a generator checks its arguments only when it starts
            pass
        return tag_documents


@dataclass(frozen=True, slots=True)
class Destination:
    """Files and folders that a run writes.

    Attributes:
        format: output format.
        path: output file or folder; standard output if ``None``.
        shard: number of documents per part; one file if ``None``.
        resume: if true, a run in parts is resumed.
        receipt: file of the coverage receipt.
        errors: file of the documents that could not be tagged.
        with_text: if false, the texts are left out.
    """

    format: str
    path: Path | None
    shard: int | None
    resume: bool
    receipt: Path | None
    errors: Path | None
    with_text: bool = True

    def check(self, inputs: Sequence[Input]) -> None:
        """Refuse contradictions before a model is loaded.

        Raises:
            InputError: an option needs another one, excludes another one, or names a path that cannot be
                written or is already in use; or standard output is closed.
        """
        if self.path is None:
            check_stdout()
        # The output may replace an input of its format: it is renamed when all of the input has been read.
        check_outputs(
            {"--output": self.path, "--receipt": self.receipt, "--errors": self.errors},
            inputs=[
                source.path for source in inputs if source.path != self.path or source.format != self.format
            ],
        )
        if self.format in FOLDER_WRITERS and self.path is None:
            raise InputError(f"--to {self.format} writes a folder; name it with --output")
        if not self.with_text and self.format not in TEXTLESS:
            raise InputError(f"--no-text is for {', '.join(TEXTLESS)}; --to {self.format} has no such form")
        if self.format in REGISTRY and (needed := REGISTRY[self.format].requires):
            require_extra(*needed)
        if self.format == "parquet" and self.path is not None:
            check_folder(self.path)
        for path in filter(None, (self.receipt, self.errors)):
            if path.is_dir() or not path.parent.is_dir():
                raise InputError(
                    f"cannot write {path}: it is a directory, or its parent directory does not exist"
                )

        if self.shard is not None:
            self._check_parts(inputs)
        elif self.resume:
            raise InputError("--resume needs --shard, with the size that the run was begun with")

    def _check_parts(self, inputs: Sequence[Input]) -> None:
        if self.path is None or (self.path.exists() and not self.path.is_dir()):
            raise InputError("--shard writes parts into a folder; name it with --output")
        if self.format not in REGISTRY or not REGISTRY[self.format].shard_extension:
            expected = ", ".join(name for name in WRITERS if REGISTRY[name].shard_extension)
            raise InputError(f"--to {self.format} cannot be written in parts; expected one of {expected}")
        if any(source.path == STDIN for source in inputs):
            raise InputError("--shard cannot read standard input, which cannot be read twice; name files")
        if self.receipt or self.errors:
            raise InputError(
                "--shard writes receipt.json and errors.jsonl into its folder; omit --receipt and --errors"
            )

    def writer(self, *, attributes: bool) -> Callable[..., None]:
        """Writer of the format.

        Args:
            attributes: if true, entities have attributes.
        """
        if self.format in _FOR_PEOPLE:
            return partial(_write_for_people, _FOR_PEOPLE[self.format])
        writers = tagged_writers(attributes=attributes, with_text=self.with_text)
        return FOLDER_WRITERS.get(self.format) or writers[self.format]

    @property
    def is_terminal(self) -> bool:
        """True if the results go to a terminal, where a progress bar would be in their way."""
        return self.path is None and sys.stdout.isatty()


def infer_target(path: Path | None) -> str:
    """Infer the output format from the name of the output; a table for people if it says nothing.

    Raises:
        InputError: the name has a suffix that is not the one of an output format, or is that of a compressed
            file.
    """
    if path is not None:
        check_uncompressed(path)
    suffix = "" if path is None else path.suffix.lower()
    if suffix == ".parquet":
        return "parquet"
    if path is not None and (name := infer_written_format(path)):
        return name
    if suffix not in ("", ".txt"):
        raise InputError(f"--output {path}: {suffix!r} is the suffix of no output format; name it with --to")
    return "table"


@dataclass(frozen=True, slots=True)
class Computer:
    """Place and means of computation.

    Attributes:
        engine: ``local`` for this process, ``ray`` for a process per worker.
        address: address of a running cluster; a local one is started if ``None``.
        backend: library that computes a runtime bundle; the one it was certified with if ``None``.
        threads: number of threads; all cores if ``None``.
        workers: number of batches, or of processes, at a time.
        device: device of the model.
        processes: number of processes that read texts and decode scores.
    """

    engine: Engine
    address: str | None
    backend: str | None
    threads: int | None
    workers: Workers
    device: str = "auto"
    processes: int = 1

    def check(self, inputs: Sequence[Input], output: Path | None) -> None:
        """Refuse contradictions before a model is loaded.

        Raises:
            InputError: an option needs or excludes another one.
        """
        if self.engine == "local":
            if self.address is not None:
                raise InputError("--address names a cluster; add --engine ray")
            return
        if output is None:
            raise InputError("--engine ray writes to a file or a folder; name it with --output")
        if any(source.path == STDIN for source in inputs):
            raise InputError("--engine ray reads files from several processes; it cannot read standard input")
        if self.device == "cuda" or self.processes > 1:
            raise InputError("--device cuda and --processes need --engine local")
        if self.workers == "auto":
            raise InputError("--workers auto needs --engine local; with ray, each worker is a process")

    def load(self, bundle: Path | None) -> Tagger:
        """Load a tagger in this process; with Ray it only checks the options, so one thread is enough."""
        if self.engine == "ray":
            return Tagger.load(bundle, backend=self.backend, threads=1)
        return Tagger.load(
            bundle,
            backend=self.backend,
            threads=self.threads,
            workers=self.workers,
            device=self.device,
            processes=self.processes,
        )

    @contextmanager
    def start_cluster(
        self, folder: Path, options: TaggingOptions, identity: Mapping[str, Any]
    ) -> Iterator[tuple[TagFunction, ItemReader]]:
        """Connect to a cluster; yield its tag function and its reader."""
        from openmed_ner.integrations.ray import RayEngine, connect, load_tag

        assert self.workers != "auto"  # see check
        # Threads are those of the whole run; Ray gives each process its share as cores.
        threads = 1 if self.threads is None or self.workers is None else max(1, self.threads // self.workers)
        load = partial(
            load_tag,
            folder.absolute(),
            sha256=identity["bundle"]["sha256"],
            version=identity["version"],
            backend=self.backend,
            threads=threads,
            steps=options.add,
            identifiers=options.identifiers,
            options=options.for_tagger(),
        )
        n_workers = self.workers or self.threads
        with connect(address=self.address, workers=n_workers, threads=threads) as n_connected:
            engine = RayEngine(load, n_connected, threads=threads)
            yield engine.tag, engine.read


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is ready to start.

    Attributes:
        inputs: files to tag.
        destination: files and folders to write.
        identity: version, bundle and options, for the records of the run.
        tag: tag function.
        read: reader of the inputs.
        attributes: if true, mentions have attributes.
    """

    inputs: Sequence[Input]
    destination: Destination
    identity: Mapping[str, Any]
    tag: TagFunction
    read: ItemReader
    attributes: bool = False

    @property
    def writer(self) -> Callable[..., None]:
        """Writer of the output format."""
        return self.destination.writer(attributes=self.attributes)

    def write(self, progress: TaggingProgress) -> JobCounts:
        """Write one file or folder, then the receipt and the errors."""
        start = monotonic()
        tag = self.tag
        live: list[LiveText] = []

        def open_input(number: int, file: TextIO | None = None) -> None:
            if isinstance(file, LiveText):
                live.append(file)
            else:
                progress.open(number, file)

        if any(source.path == STDIN for source in self.inputs):
            tag = tag_what_has_arrived(tag, lambda: any(file.waits for file in live))
            if self.destination.path is None:
                # A program that reads the results of a stream gets each one when it is complete.
                sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        chunk = Chunk(self.read(self.inputs, on_open=open_input), tag, progress)
        # A writer of a folder opens its files itself.
        if self.destination.format in FOLDER_WRITERS:
            chunk.write(self.writer, self.destination.path)
        else:
            with open_output(self.destination.path) as file:
                chunk.write(self.writer, file)

        if self.destination.receipt:
            record = make_receipt(self.identity, self.inputs, chunk.counts, seconds=monotonic() - start)
            write_output(json.dumps(record, indent=1, ensure_ascii=False) + "\n", self.destination.receipt)
        if self.destination.errors:
            write_output(_to_json_lines(chunk.problems), self.destination.errors)
        return chunk.counts

    def write_parts(self, progress: TaggingProgress) -> JobCounts:
        """Write the parts that are missing in the output folder."""
        from openmed_ner.inference.jobs.job import Job

        destination = self.destination
        assert destination.path is not None and destination.shard is not None  # see Destination.check
        extension = REGISTRY[destination.format].shard_extension
        assert extension is not None  # likewise
        job = Job(
            self.inputs,
            destination.path,
            extension,
            self.tag,
            self.writer,
            destination.shard,
            self.identity,
            self.read,
        )
        return job.run(resume=destination.resume, progress=progress)


def _write_for_people(
    write: Callable[[Iterable[Document], TextIO], None],
    documents: Iterable[Document],
    file: TextIO,
    *,
    on_bad: object,
) -> None:
    """Call a writer for people like the other writers; it refuses no document."""
    write(documents, file)


def _to_json_lines(problems: Sequence[Problem]) -> str:
    return "".join(json.dumps(problem.to_json(), ensure_ascii=False) + "\n" for problem in problems)
