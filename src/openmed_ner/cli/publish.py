"""``openmed-ner bundles push`` and ``bundles fetch``: to the Hugging Face hub, and from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmed_ner.cli.output import print_json
from openmed_ner.errors import InputError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from openmed_ner.publish import UploadPlan

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def push(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    target: Annotated[str, typer.Argument(help="owner/name, or owner/name@BRANCH.")],
    yes: Annotated[
        bool, typer.Option("--yes", help="Really publish; without it only the plan is printed.")
    ] = False,
    public: Annotated[
        bool, typer.Option("--public", help="Make a new repository public; it is private otherwise.")
    ] = False,
    unscored: Annotated[
        bool, typer.Option("--unscored", help="Publish heads that have no test score.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Publish a bundle on the Hugging Face hub.

    The access token comes from HF_TOKEN or from the hub's own login. The exit status of a plan with problems
    is 2.
    """
    from openmed_ner.publish import Reference, plan_push
    from openmed_ner.publish import push as push_bundle

    plan = plan_push(bundle, Reference.parse(target), private=not public, unscored=unscored)
    if not as_json:
        _print_plan(plan)
    made = push_bundle(plan) if yes else None
    if as_json:
        print_json({**plan.to_json(), "commit": made.revision if made else None})
    elif made:
        typer.echo(f"published as commit {made.revision}; to fetch it:")
        options = f"--sha256 {plan.bundle.sha256} -o {plan.bundle.manifest.name}"
        typer.echo(f"openmed-ner bundles fetch {made} {options}")
    else:
        typer.echo("nothing was sent: this is the plan, and --yes carries it out")
    if plan.problems:
        raise typer.Exit(2)


def _print_plan(plan: UploadPlan) -> None:
    size = sum(file.size for file in plan.files.values())
    kind = "private" if plan.private else "public"
    typer.echo(f"{plan.bundle.manifest.name}, {plan.bundle.manifest.kind}, {size / 1e6:.1f} MB")
    typer.echo(f"to {plan.target.repository}, branch {plan.target.revision}; {kind} if it is new")
    for name, file in plan.files.items():
        typer.echo(f"  {file.sha256}  {file.size:>10}  {name}")
    typer.echo(f"licence {plan.bundle.manifest.licence}; made from, under the terms that are stated:")
    for source in plan.sources:
        named = f" ({source.licence_class})" if source.licence_class else ""
        typer.echo(f"  {source.role} {source.name}: {source.licence}{named}")
    for problem in plan.problems:
        typer.echo(f"not to be published: {problem}")
    if not plan.problems:
        typer.echo("the files are as the manifest says; the card, the scores and the licences are there")


def fetch(
    source: Annotated[str, typer.Argument(help="owner/name@COMMIT, the commit being all of 40 digits.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the bundle, which must be new.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Digest that the bundle must have, as bundles info prints it.")
    ] = None,
    only_resolve: Annotated[
        bool, typer.Option("--resolve", help="Print which commit a branch stands for now, and stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fetch a bundle from the Hugging Face hub and verify it.

    An interrupted download goes on where it stopped. HF_ENDPOINT names a mirror, HF_TOKEN an access token.
    """
    from openmed_ner.publish import Reference, fetch_bundle, resolve

    reference = Reference.parse(source)
    if only_resolve:
        found = resolve(reference)
        if as_json:
            print_json({"repository": found.repository, "commit": found.revision})
        else:
            typer.echo(str(found))
        return
    if output is None:
        raise InputError("name the folder of the bundle: -o FOLDER")
    with _progress() as show:
        bundle = fetch_bundle(reference, output, sha256=sha256, on_progress=show)
    manifest = bundle.manifest
    if as_json:
        print_json({"bundle": manifest.name, "folder": str(bundle.folder), "sha256": bundle.sha256})
        return
    typer.echo(f"{bundle.folder}: {manifest.name}, {len(manifest.files)} files as the manifest says")
    typer.echo(f"sha256 {bundle.sha256}")


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    """A line on standard error that says how far the download of each file is."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def show(name: str, size: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=None)
            bar.update(tasks[name], completed=size)

        yield show
