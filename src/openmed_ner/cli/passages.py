"""``openmed-ner passages``: turn unlabelled text into a pretraining set, and say what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmed_ner.cli.output import print_json
from openmed_ner.errors import InputError
from openmed_ner.formats import PASSAGE_FORMATS
from openmed_ner.training.passages.settings import PassageSettings
from openmed_ner.training.passages.sources import read_licences

if TYPE_CHECKING:
    from openmed_ner.training.passages import PassageSet, Progress, SourceAccount

_DEFAULTS = PassageSettings()


def passages(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders of text.", show_default=False)],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the set; must not hold anything.")
    ],
    tokenizer: Annotated[
        str,
        typer.Option(
            help="Backbone whose tokenizer cuts the subwords: a name, a folder, or a tokenizer.json."
        ),
    ] = "minilm-l6",
    source_format: Annotated[
        str | None,
        typer.Option("--from", help=f"{', '.join(PASSAGE_FORMATS)}; told from the names by default."),
    ] = None,
    licences: Annotated[
        str, typer.Option(help="Licence classes to take: all, or permissive.")
    ] = _DEFAULTS.licences,
    licence: Annotated[
        list[str] | None,
        typer.Option(
            help="Class of a source: permissive, non-commercial or unknown; may be given several times.",
            metavar="NAME=CLASS",
        ),
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(help="Take only this source; may be given several times.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Leave this source out; may be given several times.")
    ] = None,
    guard: Annotated[
        str,
        typer.Option(
            help="Drop what stands in dev or test documents of the whole catalog, of the corpora available, "
            "or nothing."
        ),
    ] = _DEFAULTS.guard,
    language: Annotated[str, typer.Option(help="en, or any.")] = _DEFAULTS.language,
    min_subwords: Annotated[int, typer.Option(help="Drop what is shorter.")] = _DEFAULTS.min_subwords,
    max_subwords: Annotated[int, typer.Option(help="Cut what is longer.")] = _DEFAULTS.max_subwords,
    near_duplicates: Annotated[
        float, typer.Option(help="Drop what is this similar to an earlier passage; 0 does not look.")
    ] = _DEFAULTS.near_duplicates,
    max_placeholders: Annotated[
        float, typer.Option(help="Drop passages with a larger share of lost numbers.")
    ] = _DEFAULTS.max_placeholders,
    held_out: Annotated[
        int, typer.Option(help="Passages to set aside for evaluation; 5 % at most.")
    ] = _DEFAULTS.held_out,
    seed: Annotated[int, typer.Option(help="Seed of the choice of these.")] = _DEFAULTS.seed,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prepare a pretraining set from unlabelled text."""
    from openmed_ner.training.passages import prepare

    settings = PassageSettings(
        licences=licences,  # type: ignore[arg-type]
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        min_subwords=min_subwords,
        max_subwords=max_subwords,
        language=language,  # type: ignore[arg-type]
        guard=guard,  # type: ignore[arg-type]
        near_duplicates=near_duplicates,
        max_placeholders=max_placeholders,
        held_out=held_out,
        seed=seed,
    )
    classes = read_licences(licence or [])
    tokenizer_json = _read_tokenizer(tokenizer)
    with _Progress(quiet=as_json) as progress:
        prepared = prepare(
            paths,
            output,
            tokenizer_json=tokenizer_json,
            settings=settings,
            format=source_format,
            licences=classes,
            on_progress=progress.show,
        )
    if as_json:
        print_json(prepared.manifest)
    else:
        for line in describe(prepared):
            typer.echo(line)


def describe(prepared: PassageSet) -> list[str]:
    """What ``passages`` says of the set, line by line."""
    page = prepared.manifest
    rows = [
        _row(source["name"], source["licence_class"], prepared.accounts[source["name"]])
        for source in (*page["sources"], *page["without_pieces"])
    ]
    header = ("source", "licence", "passages", "kept", "split", "held out", "pieces", "subwords", "dropped")
    total = prepared.total
    lines = _align([header, *rows, _row("total", "", total)])
    guard = page["guard"]
    if guard["mode"] == "nothing":
        lines.append("guard: nothing; this set may hold dev and test documents")
    else:
        hits = ", ".join(
            f"{name} {split['passages_dropped']}"
            for name, split in guard["splits"].items()
            if split["passages_dropped"]
        )
        n_splits = len(guard["splits"])
        lines.append(f"guard: {guard['sentences']:,} sentences of {n_splits} splits; {hits or 'none found'}")
    if guard["missing"]:
        lines.append(f"guard: not at hand, so not looked for: {', '.join(guard['missing'])}")
    if page["not_read"]:
        lines.append(f"not read, of unknown kind: {len(page['not_read'])} files")
    if page["skipped_articles"]:
        lines.append("articles skipped: " + _reasons(page["skipped_articles"]))
    lines.append(f"set: {prepared.folder}")
    return lines


def _row(name: str, licence_class: str, account: SourceAccount) -> tuple[str, ...]:
    counts = (account.read, account.kept, account.split, account.held_out, account.pieces, account.subwords)
    return (_shown(name), licence_class, *(f"{count:,}" for count in counts), _reasons(account.dropped))


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items())


def _shown(name: str) -> str:
    """A name that a file chose, so that it cannot steer the terminal."""
    return name if name.isprintable() else ascii(name)


def _align(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Set rows in columns, numbers to the right; the last column is as wide as it likes."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number < 2 or number == len(row) - 1 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _read_tokenizer(name: str) -> str:
    """The tokenizer.json of a backbone, or a file of that kind."""
    from openmed_ner.model.backbones import find_backbone

    path = Path(name) if Path(name).is_file() else find_backbone(name) / "tokenizer.json"
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


class _Progress:
    """A line that says what is being read and how much is kept."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=quiet,
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.stop()

    def show(self, progress: Progress) -> None:
        counts = f": {progress.read:,} passages read, {progress.kept:,} kept" if progress.read else ""
        self._bar.update(self._task, description=_shown(progress.stage) + counts)
