"""Publish a bundle on the Hugging Face hub: first a complete plan, then one commit.

The plan needs no network. Because there is one commit, nobody ever sees half a bundle: an interrupted upload
leaves the repository as it was, and large files that have arrived are not sent again. A new repository is
private by default, since publishing cannot be undone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openmed_ner.bundle import Bundle, FileEntry, open_bundle
from openmed_ner.bundle.files import MANIFEST
from openmed_ner.bundle.manifest import CARD, RECORD
from openmed_ner.bundle.registry import RegistryEntry
from openmed_ner.errors import BundleError, InputError
from openmed_ner.offline import require_network
from openmed_ner.publish.cards.data import DataSource, find_sources
from openmed_ner.publish.hub import Reference, explain

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

_UNSTATED = ("", "none", "not stated", "other", "proprietary", "unknown", "unlicensed")
"""Licences that permit nobody to use the weights."""
_METADATA = ("license", "base_model", "pipeline_tag")
"""Keys of the card's metadata by which the hub files a model."""
_INITIAL_FILES = {".gitattributes", CARD}
"""Files that the hub may put into a new repository."""


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """The content and target of an upload, and its problems.

    Attributes:
        bundle: bundle to publish.
        target: repository and branch.
        private: if true, a new repository is made private.
        files: every file with its size and SHA-256, the manifest first.
        sources: data sources of the model, with their terms.
        problems: reasons not to publish the bundle as it is.
    """

    bundle: Bundle
    target: Reference
    private: bool
    files: Mapping[str, FileEntry]
    sources: tuple[DataSource, ...]
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON object."""
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
    """Plan the upload of a bundle, from its files alone.

    Args:
        folder: folder of the bundle.
        target: repository and branch.
        private: if true, a new repository is made private.
        unscored: if true, heads without a test score are accepted.

    Raises:
        BundleError: the folder holds no bundle, or an unsafe one.
        InputError: the target is a commit, which cannot be changed.
    """
    if target.is_pinned:
        raise InputError(f"{target}: a commit cannot be changed; name a branch, or owner/name for main")
    bundle = open_bundle(folder)
    manifest = FileEntry((folder / MANIFEST).stat().st_size, bundle.sha256)
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
    keys = _metadata_keys(bundle)
    if missing := [key for key in _METADATA if key not in keys]:
        yield f"{CARD} has no {', '.join(missing)} in its metadata, by which the hub files a model"
    scores = RegistryEntry.of(bundle, "").scores
    heads = [head.corpus for head in manifest.heads if head.corpus not in scores]
    if heads and not unscored:
        yield (
            f"no test score of {', '.join(heads)}: nobody could tell how good the model is. Measure it with "
            "openmed-ner evaluate --attach, or publish it as it is with --unscored"
        )


def _metadata_keys(bundle: Bundle) -> set[str]:
    """Read the keys of the card's front matter, the block between two lines of dashes."""
    if CARD not in bundle.manifest.files:
        return set()
    opening, *rest = bundle.read(CARD).decode("utf-8", "replace").split("---\n", 2)
    if opening or len(rest) < 2:
        return set()
    return {line.partition(":")[0] for line in rest[0].splitlines() if ":" in line and line[:1].isalpha()}


def push(plan: UploadPlan) -> Reference:
    """Publish a bundle as one commit, and return that commit.

    The access token is the one in ``HF_TOKEN`` or of the hub's own login.

    Raises:
        InputError: the plan has problems, there is no access token, or the repository holds something else.
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
    parent, present = _repository_state(api, plan)
    if MANIFEST not in present and (foreign := sorted(present - _INITIAL_FILES)):
        raise InputError(f"{repository} holds no bundle but {foreign[0]}, which publishing would remove")

    added = [_add(plan, name, file) for name, file in plan.files.items()]
    removed = [CommitOperationDelete(name) for name in sorted(present - _INITIAL_FILES - set(plan.files))]
    commit = api.create_commit(
        repository,
        [*added, *removed],
        commit_message=f"Publish {plan.bundle.manifest.name}, bundle {plan.bundle.sha256}",
        revision=branch,
        parent_commit=parent,  # fails if someone else has published meanwhile
    )
    return str(commit.oid)


def _repository_state(api: HfApi, plan: UploadPlan) -> tuple[str | None, set[str]]:
    """Return the commit of the branch and its files; a repository that does not exist is created."""
    from huggingface_hub.errors import RepositoryNotFoundError

    repository, branch = plan.target.repository, plan.target.revision
    try:
        info = api.model_info(repository, revision=branch)
    except RepositoryNotFoundError:
        api.create_repo(repository, private=plan.private)
        info = api.model_info(repository, revision=branch)
    return info.sha, {file.rfilename for file in info.siblings or ()}


def _add(plan: UploadPlan, name: str, file: FileEntry) -> CommitOperationAdd:
    """Prepare a file for upload; it is hashed again, for it may have changed since the plan was made."""
    from huggingface_hub import CommitOperationAdd

    operation = CommitOperationAdd(name, str(plan.bundle.folder / name))
    if operation.upload_info.sha256.hex() != file.sha256:
        raise BundleError(f"{plan.bundle.folder / name} has changed since it was checked; nothing was sent")
    return operation
