"""Shared parts of the benchmarks."""

from __future__ import annotations

import argparse
import re
import resource
from dataclasses import replace
from pathlib import Path

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.data import read_examples
from openmed_ner.formats import read_documents
from openmed_ner.inference.tagger import embedded_bundle


def parse_bundles(description: str | None) -> list[Bundle]:
    """The bundles that a command line names; the embedded one if it names none."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "bundles", nargs="*", type=Path, help="folders of bundles (default: the embedded one)"
    )
    return [open_bundle(folder) for folder in parser.parse_args().bundles or [embedded_bundle()]]


def peak_megabytes() -> float:
    """Peak resident memory of this process.

    Read from the kernel's status file where there is one: ``getrusage`` starts from the peak of the process
    that this one was forked from.
    """
    status = Path("/proc/self/status")
    if status.exists() and (match := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(match[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def load_texts(data: Path | None) -> list[str]:
    """The texts of a file, or else the example abstracts, two by two."""
    if data is not None:
        return [document.text for document in read_documents(data)]
    texts = [document.text for document in read_examples()]
    return [f"{one}\n{other}" for one in texts for other in texts if one != other]


def count_flops(bundle: Bundle) -> float:
    """Floating-point operations of a model per subword, in full windows."""
    from openmed_ner.model.backbones import BACKBONES  # not above: most engines are measured without torch

    manifest = bundle.manifest
    shape = BACKBONES[manifest.backbone.name].shape
    return replace(shape, layers=len(manifest.encoder_layers) or shape.layers).flops(manifest.window)
