"""Publish a bundle on the Hugging Face hub: first a plan that says everything, then one commit.

The plan needs no network. One commit means that nobody ever sees half a bundle: where an upload stops, the
repository stays as it was, and large files that have arrived are not sent again. A new repository is private
unless asked otherwise, for what was public once cannot be called back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmed_ner.bundle import Bundle, File, open_bundle
from openmed_ner.bundle.manifest import CARD, MANIFEST, RECORD
from openmed_ner.bundle.registry import RegistryEntry
from openmed_ner.errors import BundleError, InputError
from openmed_ner.offline import require_network
from openmed_ner.publish.cards.sources import DataSource, find_sources
from openmed_ner.publish.hub import Reference, explain

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

_UNSTATED = ("", "none", "not stated", "other", "proprietary", "unknown", "unlicensed")
_METADATA = ("license", "base_model", "pipeline_tag")
_HUBS_OWN = {".gitattributes", CARD}  # what a new repository may be made with


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """What would be published where, and what speaks against it.

    Attributes:
        bundle: what is published.
        target: the repository and branch.
        private: whether a repository that does not exist yet is made private.
        files: every file with its size and SHA-256, the manifest first.
        sources: what the model was made from, with the terms of each.
        problems: why it must not be published as it is.
    """

    bundle: Bundle
    target: Reference
    private: bool
    files: Mapping[str, File]
    sources: tuple[DataSource, ...]
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {
            "bundle": self.bundle.manifest.name,
            "sha256": self.bundle.sha256,
            "repository": self.target.repository,
            "branch": self.target.revision,
            "private": self.private,
            "files": {name: {"size": file.size, "sha256": file.sha256} for name, file in self.files.items()},
            "licence": self.bundle.manifest.licence,
            "sources": [source.to_json() for source in self.sources],
            "problems": list(self.problems),
        }


def plan_push(folder: Path, target: Reference, *, private: bool = True, unscored: bool = False) -> UploadPlan:
    """Say what publishing a bundle would do, from its files alone.

    Args:
        folder: of the bundle.
        target: the repository and branch.
        private: whether a new repository is made private.
        unscored: whether heads without a test score are accepted.

    Raises:
        BundleError: it is no bundle, or must not be trusted.
        InputError: the target is a commit, and a commit cannot be changed.
    """
    if target.is_pinned:
        raise InputError(f"{target}: a commit cannot be changed; name a branch, or owner/name for main")
    bundle = open_bundle(folder)
    manifest = File((folder / MANIFEST).stat().st_size, bundle.sha256)
    record = bundle.read_json(RECORD) if RECORD in bundle.manifest.files else {}
    return UploadPlan(
        bundle=bundle,
        target=target,
        private=private,
        files={MANIFEST: manifest, **bundle.manifest.files},
        sources=tuple(find_sources(bundle.manifest, record)),
        problems=tuple(_iter_problems(bundle, unscored=unscored)),
    )


def _iter_problems(bundle: Bundle, *, unscored: bool) -> Iterator[str]:
    manifest = bundle.manifest
    for name, licence in (("the weights", manifest.licence), ("the backbone", manifest.backbone.licence)):
        if licence.strip().lower() in _UNSTATED:
            yield f"the licence of {name} is {licence or 'not stated'!r}, which permits nobody to use them"
    if missing := [key for key in _METADATA if key not in _metadata(bundle)]:
        yield f"{CARD} has no {', '.join(missing)} in its metadata, by which the hub files a model"
    scored = RegistryEntry.of(bundle, "").scores
    heads = [head.corpus for head in manifest.heads if head.corpus not in scored]
    if heads and not unscored:
        yield (
            f"no test score of {', '.join(heads)}: nobody could tell how good the model is. Measure it with "
            "openmed-ner evaluate --attach, or publish it as it is with --unscored"
        )


def _metadata(bundle: Bundle) -> set[str]:
    """The keys of the block between two lines of dashes that opens a card."""
    if CARD not in bundle.manifest.files:
        return set()
    opening, *rest = bundle.read(CARD).decode("utf-8", "replace").split("---\n", 2)
    if opening or len(rest) < 2:
        return set()
    return {line.partition(":")[0] for line in rest[0].splitlines() if ":" in line and line[:1].isalpha()}


def push(plan: UploadPlan) -> Reference:
    """Publish a bundle as one commit, and return that commit.

    The access token is the one of ``HF_TOKEN`` or of the hub's own login.

    Raises:
        InputError: something speaks against it, there is no access token, or the repository holds something
            else.
        RunError: offline, refused, or interrupted; the repository has all of the bundle or nothing of it.
    """
    if plan.problems:
        raise InputError(f"{plan.bundle.folder} is not published: {'; '.join(plan.problems)}")
    require_network("uploads", instead="unset it to publish")
    from huggingface_hub import HfApi, get_token

    if not get_token():
        raise InputError(
            "no access token of the hub: set HF_TOKEN, or log in with: hf auth login. The token needs the "
            f"right to write to {plan.target.repository}"
        )
    with explain(f"{plan.target.repository} has all of the bundle or nothing of it"):
        return Reference(plan.target.repository, _commit(HfApi(), plan))


def _commit(api: HfApi, plan: UploadPlan) -> str:
    from huggingface_hub import CommitOperationDelete

    repository, branch = plan.target.repository, plan.target.revision
    parent, present = _state(api, plan)
    if MANIFEST not in present and (others := sorted(present - _HUBS_OWN)):
        raise InputError(f"{repository} holds no bundle but {others[0]}, which publishing would remove")
    files = [_add(plan, name, file) for name, file in plan.files.items()]
    old = [CommitOperationDelete(name) for name in sorted(present - _HUBS_OWN - set(plan.files))]
    made = api.create_commit(
        repository,
        [*files, *old],
        commit_message=f"Publish {plan.bundle.manifest.name}, bundle {plan.bundle.sha256}",
        revision=branch,
        parent_commit=parent,  # fails if someone else has published meanwhile
    )
    return str(made.oid)


def _state(api: HfApi, plan: UploadPlan) -> tuple[str | None, set[str]]:
    """The commit a branch stands at and the files there; a repository that does not exist yet is made."""
    from huggingface_hub.errors import RepositoryNotFoundError

    repository, branch = plan.target.repository, plan.target.revision
    try:
        info = api.model_info(repository, revision=branch)
    except RepositoryNotFoundError:
        api.create_repo(repository, private=plan.private)
        info = api.model_info(repository, revision=branch)
    return info.sha, {file.rfilename for file in info.siblings or ()}


def _add(plan: UploadPlan, name: str, file: File) -> CommitOperationAdd:
    """A file to upload, hashed once more: it must not have changed since the bundle was opened."""
    from huggingface_hub import CommitOperationAdd

    operation = CommitOperationAdd(name, str(plan.bundle.folder / name))
    found = operation.upload_info.sha256.hex()
    if found != file.sha256:
        raise BundleError(f"{plan.bundle.folder / name} has changed since it was checked; nothing was sent")
    return operation
