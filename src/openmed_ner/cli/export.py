"""``openmed-ner bundles export``: make a runtime bundle and certify it.

Torch is imported when an export starts, not here: ``export --help`` is quick, and works without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.manifest import PARITY, RUNTIMES, Precision
from openmed_ner.cli.options import INPUT, OUTPUT, Runtime
from openmed_ner.cli.output import complain
from openmed_ner.errors import InputError, require_extra
from openmed_ner.formats import read_documents
from openmed_ner.inference.tagger import embedded_bundle
from openmed_ner.service.browser.runtime import INSTALL
from openmed_ner.service.browser.site import write_site

Target = Literal["runtime", "transformers", "web"]


def export(
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="New folder.",
            rich_help_panel=OUTPUT,
        ),
    ],
    bundle: Annotated[
        Path | None,
        typer.Argument(
            metavar="BUNDLE",
            help="Folder of an adapter or full bundle; for --to web, of a runtime bundle (default there: the "
            "embedded model).",
        ),
    ] = None,
    to: Annotated[
        Target,
        typer.Option(
            help="Kind of export: a runtime bundle, a folder for each head that the pipeline "
            "token-classification of transformers opens, or a page that tags in a browser without a "
            "service.",
            rich_help_panel=OUTPUT,
        ),
    ] = "runtime",
    head: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Head to export to transformers; repeatable (default: all).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    runtime: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Folder with Pyodide, numpy for it and onnxruntime-web, for --to web.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Annotated documents on which the export is compared with the original (default: dev "
            "documents of its corpora, or the example abstracts).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    precision: Annotated[
        Precision,
        typer.Option(
            help="Precision of the weights. int8-static also fixes the scales of the activations.",
            rich_help_panel=OUTPUT,
        ),
    ] = "int8",
    backend: Annotated[
        Runtime | None,
        typer.Option(
            help=f"Library that computes the bundle and that it is certified with (default: {RUNTIMES[0]}).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the new bundle (default: name of the original).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Window length in subwords, at most that of the original (default: the same). Reads best in "
            "a length that the model was trained on.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    choices: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Copy document-level decoding and per-type merge rules from this bundle where dev cannot "
            "select them, since the model was trained on it (default: none there).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    merges: Annotated[Path | None, typer.Option(metavar="PATH", hidden=True)] = None,  # see --choices
    dev_documents: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Largest number of dev documents of each corpus, drawn at random (default: all).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Documents that fix the scales of int8-static (default: the training splits of its corpora, "
            "or the example abstracts).",
            rich_help_panel=INPUT,
        ),
    ] = None,
) -> None:
    """Export a runtime bundle without torch, folders for transformers, or a page for browsers.

    A runtime bundle is certified on the dev splits of its corpora if their archives are available, else on
    the example abstracts of the package.

    Example:
        openmed-ner bundles export runs/ncbi-disease/bundle -o ncbi-disease-int8
    """
    if merges is not None:
        complain("warning: --merges is now --choices")
        # Old scripts go on working. Who gives both means the new name.
        choices = choices or merges

    if to != "runtime":
        settings = (backend, name, window, choices, dev_documents, calibrate)
        if precision != "int8" or any(option is not None for option in settings):
            allowed = "--head and --sample" if to == "transformers" else "--runtime"
            raise InputError(f"--to {to} takes {allowed}, and no option of a runtime bundle")
    if runtime is not None and to != "web":
        raise InputError("--runtime is for --to web")
    if head and to != "transformers":
        raise InputError("--head is for --to transformers")
    if to == "web":
        if sample is not None:
            raise InputError("--sample is for bundles that are compared with their original")
        _export_page(open_bundle(bundle or embedded_bundle()), output, runtime)
        return
    if bundle is None:
        raise InputError(
            "name the folder of an adapter or full bundle; the embedded model is a runtime bundle"
        )
    if to == "transformers":
        _export_pipelines(open_bundle(bundle), output, head or [], sample)
        return
    exporting = require_extra("openmed_ner.training.export.bundles", "train")
    exported: Bundle = exporting.export_bundle(
        open_bundle(bundle),
        output,
        precision=precision,
        backend=backend,
        name=name,
        choices=open_bundle(choices) if choices else None,
        calibration=list(read_documents(calibrate)) if calibrate else None,
        dev_documents=dev_documents,
        window=window,
        sample=list(read_documents(sample)) if sample else (),
    )

    parity = exported.read_json(PARITY)
    agreement = f"{100 * parity['span_agreement']:.2f} % of spans agree"
    typer.echo(f"{agreement} over {parity['documents']} documents ({parity['texts']})")
    for corpus, row in parity["corpora"].items():
        f1, difference = 100 * row["f1_exported"], 100 * row["f1_difference"]
        typer.echo(f"  {corpus}: dev F1 {f1:.2f}, {difference:+.2f} against the original")
    for corpus, choice in exported.manifest.document_decoding.items():
        typer.echo(f"  {corpus}: document-level decoding {choice.mode}, {100 * choice.gain:+.2f} dev F1")
    typer.echo(f"bundle: {exported.folder}")


def _export_pipelines(bundle: Bundle, output: Path, heads: Sequence[str], sample: Path | None) -> None:
    """Export folders for transformers, and print how far they agree with the original."""
    exporting = require_extra("openmed_ner.training.export.bundles", "train")
    documents = list(read_documents(sample)) if sample else None
    comparisons = exporting.export_to_transformers(bundle, output, heads=heads, sample=documents)
    for corpus, comparison in comparisons.items():
        agreement = f"{100 * comparison.agreement:.2f} F1 against openmed-ner"
        typer.echo(f"{output / corpus}: {agreement} on {comparison.documents} documents ({comparison.texts})")
        if comparison.f1 is not None:
            original, pipeline = 100 * comparison.f1, 100 * comparison.f1_pipeline
            typer.echo(f"  F1 on the annotations {pipeline:.2f}, openmed-ner {original:.2f}")


def _export_page(bundle: Bundle, output: Path, runtime: Path | None) -> None:
    """Write a page that tags in the browser, and print what a visitor loads."""
    if runtime is None:
        folder = "web-runtime"
        raise InputError(
            f"--to web needs --runtime: a folder with the programs that a page loads, such as {folder}; "
            f"run: {INSTALL.format(folder)}"
        )
    site = write_site(bundle, output, runtime)
    for name, size in site.sizes.items():
        typer.echo(f"  {name}: {size / 1e6:.1f} MB")
    typer.echo(f"page: {output}, {sum(site.sizes.values()) / 1e6:.1f} MB in all")
    typer.echo(f"open it with: python -m http.server --directory {output}")
