"""A suite: bundles that are used together, each with heads of its own, over one way of reading text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from openmed_ner.bundle import Bundle, Manifest, open_bundle
from openmed_ner.bundle.manifest import MANIFEST, TOKENIZER
from openmed_ner.errors import BundleError


def open_bundles(folder: Path) -> list[Bundle]:
    """Open a bundle, or every bundle that lies in a folder.

    Raises:
        BundleError: there is none, one must not be trusted, or they do not fit together.
    """
    if (folder / MANIFEST).exists() or not folder.is_dir():
        return [open_bundle(folder)]
    bundles = [open_bundle(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    if not bundles:
        raise BundleError(f"{folder} is not a bundle and holds none: no {MANIFEST} in it or in its folders")
    first = bundles[0]
    owners: dict[str, Bundle] = {}
    for bundle in bundles:
        bundle.require_heads()
        for what, own, expected in (
            ("tokenizer", bundle.manifest.files[TOKENIZER].sha256, first.manifest.files[TOKENIZER].sha256),
            ("window", bundle.manifest.window, first.manifest.window),
            ("overlap", bundle.manifest.overlap, first.manifest.overlap),
            ("kind", bundle.manifest.kind == "runtime", first.manifest.kind == "runtime"),
        ):
            if own != expected:
                raise BundleError(
                    f"{bundle.folder} and {first.folder} differ in their {what}, and cannot be used together"
                )
        for head in bundle.manifest.heads:
            other = owners.setdefault(head.corpus, bundle)
            if other is not bundle:
                raise BundleError(
                    f"{bundle.folder} and {other.folder} both have a head {head.corpus}; name one of the two"
                )
    return bundles


def bundle_digest(folder: Path) -> str:
    """The digest of a bundle, or one for all the bundles of a suite."""
    if (folder / MANIFEST).exists():
        return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    digests = [bundle_digest(path.parent) for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def join_manifests(bundles: Sequence[Bundle]) -> Manifest:
    """What bundles are together: the heads of all of them, in order."""
    if len(bundles) == 1:
        return bundles[0].manifest
    return replace(
        bundles[0].manifest,
        name=bundles[0].folder.resolve().parent.name,
        heads=tuple(head for bundle in bundles for head in bundle.manifest.heads),
        adaptation=None,
        merges={},
        files={},
    )
