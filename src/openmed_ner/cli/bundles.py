"""``openmed-ner bundles``: list, look at, check, export, collect, publish and fetch bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from openmed_ner.bundle import open_bundle
from openmed_ner.bundle.manifest import RUNTIMES, Precision
from openmed_ner.cli.output import print_json
from openmed_ner.errors import InputError, MissingExtraError, require_extra
from openmed_ner.formats import read_documents

Folder = Annotated[Path | None, typer.Argument(help="Folder of the bundle; the embedded one if left out.")]
PRECISIONS = get_args(Precision)


def list_bundles(
    folder: Annotated[
        Path | None, typer.Argument(help="List the bundles in this folder; the published ones if left out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List bundles with their test scores."""
    from openmed_ner.bundle import open_bundle
    from openmed_ner.bundle.manifest import MANIFEST
    from openmed_ner.bundle.registry import RegistryEntry, read_registry

    if folder is None:
        entries = read_registry()
    else:
        found = sorted(path.parent for path in folder.glob(f"**/{MANIFEST}"))
        if not found:
            raise InputError(f"{folder}: there is no bundle in it")
        entries = [RegistryEntry.of(open_bundle(path), str(path)) for path in found]
    if as_json:
        print_json([entry.to_json() for entry in entries])
        return
    for entry in entries:
        typer.echo(f"{entry.place}: {entry.name}, {entry.kind}, {entry.precision}, {entry.size / 1e6:.1f} MB")
        for corpus, score in entry.scores.items():
            interval = f"95 %: {100 * score.low:.1f} to {100 * score.high:.1f}"
            typer.echo(f"  {corpus}: test F1 {100 * score.f1:.2f}  ({interval})")
        if not entry.scores:
            typer.echo("  no test scores: openmed-ner evaluate --attach measures them")


def info(
    bundle: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Show what a bundle contains."""
    from openmed_ner.bundle import open_bundle
    from openmed_ner.inference.tagger import embedded_bundle

    opened = open_bundle(bundle or embedded_bundle())
    manifest = opened.manifest
    if as_json:
        print_json({**manifest.to_json(), "sha256": opened.sha256})
        return
    size = sum(file.size for file in manifest.files.values())
    typer.echo(f"{manifest.name}: {manifest.kind} bundle, {manifest.precision}, {size / 1e6:.1f} MB")
    typer.echo(f"from {manifest.backbone.name} by openmed-ner {manifest.version}, licence {manifest.licence}")
    typer.echo(f"reads windows of {manifest.window} subwords that overlap by {manifest.overlap}")
    if manifest.adaptation is not None:
        typer.echo(f"adapted before: {manifest.adaptation.name} ({manifest.adaptation.mode})")
    if not manifest.heads:
        typer.echo("an adapted encoder without heads: fine-tune it with openmed-ner train --adapted")
    for head in manifest.heads:
        typer.echo(f"  {head.corpus}: {', '.join(head.labels)} ({head.scheme.value})")
    typer.echo(f"sha256 {opened.sha256}")


def verify(
    bundle: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Verify the files of a bundle and run its model."""
    from openmed_ner.bundle import open_bundle
    from openmed_ner.inference.tagger import Tagger, embedded_bundle

    opened = open_bundle(bundle or embedded_bundle())
    manifest = opened.manifest
    tags = bool(manifest.heads)  # an adapted encoder has none, and nothing to run
    runs = bool(Tagger.load(opened)("A test.").meta["coverage"]["complete"]) if tags else None
    if as_json:
        print_json({"bundle": manifest.name, "files": len(manifest.files), "runs": runs})
        return
    state = "the model runs" if tags else "an adapted encoder without heads"
    typer.echo(f"{manifest.name}: {len(manifest.files)} files as the manifest says; {state}")


def export(
    bundle: Annotated[Path, typer.Argument(help="Folder of an adapter or full bundle.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the new runtime bundle.")],
    precision: Annotated[
        str,
        typer.Option(
            help=f"One of {', '.join(PRECISIONS)}; the last has scales fixed beforehand, and is for openvino."
        ),
    ] = "int8",
    backend: Annotated[
        str | None,
        typer.Option(
            help=f"What computes it, and is certified: {', '.join(RUNTIMES)}; by default the first, and the "
            "second for int8-static."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the new bundle; that of the original by default.")
    ] = None,
    merges: Annotated[
        Path | None,
        typer.Option(
            help="A bundle with the same heads, to take from how the layers of a type become one. By default "
            "dev chooses, or nothing does where dev was learnt from."
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="Documents to fix the scales of int8-static by; the training splits of the heads' corpora, "
            "or the example abstracts, by default."
        ),
    ] = None,
) -> None:
    """Export a runtime bundle, which needs no torch.

    The certificate is made on the dev splits of the heads' corpora if their archives are available, else on
    the example abstracts that come with the package.
    """
    exporting = require_extra("openmed_ner.training.export.bundles", "train")
    exported = exporting.export_bundle(
        open_bundle(bundle),
        output,
        precision=precision,
        backend=backend,
        name=name,
        merges=open_bundle(merges) if merges else None,
        calibration=list(read_documents(calibrate)) if calibrate else None,
    )
    parity = exported.read_json("parity.json")
    agreement = f"{100 * parity['span_agreement']:.2f} % of spans agree"
    typer.echo(f"{agreement} over {parity['documents']} documents ({parity['texts']})")
    for corpus, row in parity["corpora"].items():
        f1, difference = 100 * row["f1_exported"], 100 * row["f1_difference"]
        typer.echo(f"  {corpus}: dev F1 {f1:.2f}, {difference:+.2f} against the original")
    typer.echo(f"bundle: {exported.folder}")


def collect(
    study: Annotated[Path, typer.Argument(help="Folder of a study that openmed-ner reproduce carried out.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="New folder for the bundles.")],
    leave_out: Annotated[
        list[str] | None,
        typer.Option(help="A model that is not taken, such as one whose heads others have; repeatable."),
    ] = None,
    prefix: Annotated[str, typer.Option(help="Put before the name of each bundle.")] = "",
) -> None:
    """Collect the best bundles of a study in a suite.

    tag --bundle and serve --bundle take the folder, and use all heads over one backbone.
    """
    try:
        from openmed_ner.training.study.suite import collect as collect_bundles
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "train") from error

    for bundle in collect_bundles(study, output, leave_out=leave_out or (), prefix=prefix):
        size = sum(file.size for file in bundle.manifest.files.values())
        heads = ", ".join(head.corpus for head in bundle.manifest.heads)
        typer.echo(f"{bundle.folder}: {bundle.manifest.name}, {heads}, {size / 1e6:.1f} MB")
