"""A suite: bundles that are used together, each with its own heads, over one tokenizer and window."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from openmed_ner.bundle.files import MANIFEST
from openmed_ner.bundle.manifest import TOKENIZER, Bundle, Manifest
from openmed_ner.bundle.opening import CheckFiles, check_in_turn, open_bundle
from openmed_ner.errors import BundleError
from openmed_ner.storage import sha256, sha256_file


def open_bundles(
    folder: Path, *, keep: Collection[str] = (), check_files: CheckFiles = check_in_turn
) -> list[Bundle]:
    """Open a bundle, or all bundles in the folders of a folder, in the order of their names.

    Args:
        folder: the folder.
        keep: files of each bundle whose contents are kept in memory until they are read.
        check_files: calls a function for each file of a manifest, see :func:`.opening.open_bundle`.

    Raises:
        BundleError: there is no bundle, one must not be trusted, or they cannot be used together.
    """
    if (folder / MANIFEST).exists() or not folder.is_dir():
        return [open_bundle(folder, keep=keep, check_files=check_files)]
    paths = sorted(folder.glob(f"*/{MANIFEST}"))
    bundles = [open_bundle(path.parent, keep=keep, check_files=check_files) for path in paths]
    if not bundles:
        raise BundleError(f"{folder} is not a bundle and holds none: no {MANIFEST} in it or in its folders")

    owners: dict[str, Bundle] = {}
    for bundle in bundles:
        bundle.require_heads()
        _require_same_input(bundle, bundles[0])
        for head in bundle.manifest.heads:
            owner = owners.setdefault(head.corpus, bundle)
            if owner is not bundle:
                raise BundleError(
                    f"{bundle.folder} and {owner.folder} both have a head {head.corpus}; name one of the two"
                )
    return bundles


def _require_same_input(bundle: Bundle, first: Bundle) -> None:
    """Refuse a bundle that splits or computes text in another way than the first one."""
    one, other = bundle.manifest, first.manifest
    for member in (bundle, first):
        if TOKENIZER not in member.manifest.files:
            raise BundleError(f"{member.folder}: this {member.manifest.kind} bundle has no {TOKENIZER}")
    for name, same in (
        ("tokenizer", one.files[TOKENIZER].sha256 == other.files[TOKENIZER].sha256),
        ("window", one.window == other.window),
        ("overlap", one.overlap == other.overlap),
        ("lexicon", one.lexicon == other.lexicon),
        # One engine computes a suite: torch computes no graph, and a runtime loads no adapter.
        ("kind", (one.kind == "runtime") == (other.kind == "runtime")),
    ):
        if not same:
            raise BundleError(
                f"{bundle.folder} and {first.folder} differ in their {name}, and cannot be used together"
            )


def bundle_digest(folder: Path) -> str:
    """Return the digest of a bundle, or one digest for all bundles of a suite."""
    if (folder / MANIFEST).exists():
        return sha256_file(folder / MANIFEST)
    # A manifest has the digests of all files of its bundle, so it stands for them.
    digests = [sha256_file(path) for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    return sha256("".join(digests).encode())


def join_manifests(bundles: Sequence[Bundle]) -> Manifest:
    """Describe bundles as one: the heads of all of them, in order."""
    if len(bundles) == 1:
        return bundles[0].manifest
    return replace(
        bundles[0].manifest,
        name=bundles[0].folder.resolve().parent.name,
        heads=tuple(head for bundle in bundles for head in bundle.manifest.heads),
        # The bundles may differ in what follows, so the whole has none of it.
        adaptation=None,
        merges={},
        document_decoding={
            corpus: choice
            for bundle in bundles
            for corpus, choice in bundle.manifest.document_decoding.items()
        },
        files={},
    )
