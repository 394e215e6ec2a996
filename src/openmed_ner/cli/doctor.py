"""``openmed-ner doctor``: what is installed, what is missing, and the command that mends it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Annotated, Any

import typer

from openmed_ner.cli.output import print_json
from openmed_ner.errors import OpenMedError

_TRAIN = (
    "torch accelerate transformers peft safetensors onnx onnxscript codecarbon optuna py3langid rensa "
    "sentencepiece"
)
EXTRAS = {
    "train": (
        "training and export",
        tuple(_TRAIN.split()),
    ),
    "plots": ("figures", ("matplotlib",)),
    "serve": ("the page and HTTP", ("fastapi", "prometheus_client", "python_multipart", "uvicorn")),
    "spacy": ("spaCy pipelines", ("spacy",)),
    "context": ("negation and context", ("spacy", "negspacy")),
    "openvino": ("a faster backend", ("openvino",)),
    "quantise": ("static int8", ("nncf",)),
    "ray": ("clusters", ("ray", "pyarrow")),
}
"""What each extra is for, and the modules it brings."""
VARIABLES = ("OPENMED_NER_CORPORA", "OPENMED_NER_BACKBONES", "OPENMED_NER_OFFLINE")


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check the installation and print how to fix it."""
    findings = examine()
    if as_json:
        print_json(findings)
    else:
        for name, value in {**findings["host"], **findings["packages"]}.items():
            typer.echo(f"{name}: {value}")
        for name, value in findings["environment"].items():
            typer.echo(f"{name}: {value if value is not None else 'not set'}")
        typer.echo(f"embedded model: {findings['embedded']}")
        for extra, missing in findings["extras"].items():
            state = "complete" if not missing else f"missing {', '.join(missing)}"
            typer.echo(f"extra {extra}: {state}")
        for problem in findings["problems"]:
            typer.echo(f"to mend: {problem}")
    if findings["embedded"] != "works":
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """Look at the installation, its extras, its environment and the embedded model."""
    from openmed_ner.bundle.record import describe_host, installed_versions

    extras = {
        extra: [module for module in modules if find_spec(module) is None]
        for extra, (_, modules) in EXTRAS.items()
    }
    problems = [
        f"pip install 'openmed-ner[{extra}]'  # for {EXTRAS[extra][0]}"
        for extra, missing in extras.items()
        if missing
    ]
    embedded = "works"
    try:
        from openmed_ner.inference.tagger import Tagger

        Tagger.load()("A test.")
    except OpenMedError as error:
        embedded = str(error)
        problems.append("pip install --force-reinstall --no-deps openmed-ner")
    for variable in VARIABLES[:2]:
        value = os.environ.get(variable)
        if value and not os.path.isdir(value):  # noqa: PTH112 (a plain question about a plain string)
            problems.append(f"{variable} names {value}, which is no folder")
    return {
        "host": describe_host(),
        "packages": installed_versions(),
        "environment": {variable: os.environ.get(variable) for variable in VARIABLES},
        "embedded": embedded,
        "extras": extras,
        "problems": problems,
    }
