"""``openmed-ner bundles push`` and ``bundles fetch``: to the Hugging Face hub, and from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from openmed_ner.cli.options import OUTPUT, AsJson
from openmed_ner.cli.output import print_json
from openmed_ner.errors import InputError
from openmed_ner.publish import Reference, UploadPlan, fetch_bundle, plan_push, resolve
from openmed_ner.publish import push as push_bundle


def push(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of the bundle.")],
    target: Annotated[
        str, typer.Argument(metavar="OWNER/NAME[@BRANCH]", help="Repository, and branch (default: main).")
    ],
    yes: Annotated[
        bool, typer.Option("--yes", help="Publish; without it, only print the plan.", rich_help_panel=OUTPUT)
    ] = False,
    public: Annotated[
        bool,
        typer.Option(
            "--public", help="Make a new repository public instead of private.", rich_help_panel=OUTPUT
        ),
    ] = False,
    unscored: Annotated[
        bool,
        typer.Option("--unscored", help="Publish heads without a test score.", rich_help_panel=OUTPUT),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish a bundle on the Hugging Face hub.

    All files are sent in one commit. The access token comes from HF_TOKEN or from the login of the hub. The
    exit status is 2 if the plan has problems.

    Example:
        openmed-ner bundles push runs/ncbi-disease/bundle someone/ncbi-disease
    """
    plan = plan_push(bundle, Reference.parse(target), private=not public, unscored=unscored)
    if not as_json:
        _print_plan(plan)
    published = push_bundle(plan) if yes else None

    if as_json:
        print_json({**plan.to_json(), "commit": published.revision if published else None})
    elif published:
        typer.echo(f"published as commit {published.revision}; to fetch it:")
        options = f"--sha256 {plan.bundle.sha256} -o {plan.bundle.manifest.name}"
        typer.echo(f"openmed-ner bundles fetch {published} {options}")
    else:
        typer.echo("nothing was sent: this is the plan; add --yes to publish")
    if plan.problems:
        raise typer.Exit(2)


def _print_plan(plan: UploadPlan) -> None:
    size = sum(file.size for file in plan.files.values())
    visibility = "private" if plan.private else "public"
    typer.echo(f"{plan.bundle.manifest.name}, {plan.bundle.manifest.kind}, {size / 1e6:.1f} MB")
    typer.echo(f"to {plan.target.repository}, branch {plan.target.revision}; {visibility} if it is new")
    for name, file in plan.files.items():
        typer.echo(f"  {file.sha256}  {file.size:>10}  {name}")

    typer.echo(f"licence {plan.bundle.manifest.licence}; sources, with their terms:")
    for source in plan.sources:
        licence_class = f" ({source.licence_class})" if source.licence_class else ""
        typer.echo(f"  {source.role} {source.name}: {source.licence}{licence_class}")
    for problem in plan.problems:
        typer.echo(f"problem: {problem}")
    if not plan.problems:
        typer.echo("the files match the manifest; card, scores and licences are complete")


def fetch(
    source: Annotated[
        str, typer.Argument(metavar="OWNER/NAME@COMMIT", help="Repository and commit, with all 40 digits.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="Folder of the bundle, which must be new.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="Expected digest of the bundle, as bundles info prints it."),
    ] = None,
    only_resolve: Annotated[
        bool, typer.Option("--resolve", help="Print the current commit of a branch and exit.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a bundle from the Hugging Face hub and verify it.

    An interrupted download resumes. HF_ENDPOINT names a mirror, HF_TOKEN an access token.

    Example:
        openmed-ner bundles fetch someone/ncbi-disease@main --resolve
    """
    reference = Reference.parse(source)
    if only_resolve:
        resolved = resolve(reference)
        if as_json:
            print_json({"repository": resolved.repository, "commit": resolved.revision})
        else:
            typer.echo(str(resolved))
        return
    if output is None:
        raise InputError("name the folder of the bundle: -o FOLDER")

    with _show_progress() as show:
        bundle = fetch_bundle(reference, output, sha256=sha256, on_progress=show)
    manifest = bundle.manifest
    if as_json:
        print_json({"bundle": manifest.name, "folder": str(bundle.folder), "sha256": bundle.sha256})
        return
    typer.echo(f"{bundle.folder}: {manifest.name}, {len(manifest.files)} files match the manifest")
    typer.echo(f"sha256 {bundle.sha256}")


@contextmanager
def _show_progress() -> Iterator[Callable[[str, int], None]]:
    """Yield a function that shows the progress of a file on standard error."""
    console = Console(stderr=True)
    # A log file needs no bar.
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def show(name: str, size: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=None)
            bar.update(tasks[name], completed=size)

        yield show
