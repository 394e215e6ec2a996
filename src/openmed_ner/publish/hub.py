"""The Hugging Face hub, or the mirror in ``HF_ENDPOINT``: references, file URLs, error messages.

Files are downloaded by plain HTTP, which every version of the hub's library and every mirror supports, and
which lets a file be checked while it arrives. The library does the rest. Its faster transfers of large files
are not used.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from openmed_ner.errors import BundleError, InputError, RunError
from openmed_ner.offline import require_network

RETRY = "run the command again to go on"
TIMEOUT = 60
"""Seconds that the hub may take to answer."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_COMMIT = re.compile("[0-9a-f]{40}")
_CONFLICT = f"someone else has published meanwhile; look at the repository, and {RETRY}"
_REASONS = {
    401: "the access token was not accepted, or a private repository needs one: set HF_TOKEN",
    403: "this account may not do that; a gated repository has terms to accept on its page",
    404: "no such repository, branch, commit or file; a private one needs an access token: set HF_TOKEN",
    409: _CONFLICT,
    412: _CONFLICT,
    416: "an earlier attempt got more than the file holds; remove the folder that ends in .partial",
    429: f"too many requests; wait, and {RETRY}",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository of the hub at a revision, written ``owner/name@revision``.

    Attributes:
        repository: ``owner/name``.
        revision: full commit hash, or a branch or tag, which can only be resolved or pushed to.
    """

    repository: str
    revision: str = "main"

    def __post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.repository) or ".." in self.repository:
            raise InputError(f"{self.repository!r} is not a repository; expected owner/name")

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read ``owner/name@revision``; the default revision is ``main``."""
        repository, _, revision = text.partition("@")
        return cls(repository, revision or "main")

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}"

    @property
    def is_pinned(self) -> bool:
        """True if the revision is a full commit hash."""
        return _COMMIT.fullmatch(self.revision) is not None


def resolve(reference: Reference) -> Reference:
    """Ask the hub for the commit that a branch or tag points to now.

    Raises:
        RunError: offline, the hub does not answer, or the repository or revision does not exist.
    """
    require_network("asking the hub", instead="name the commit yourself")
    with explain(str(reference)):
        from huggingface_hub import HfApi

        info = HfApi().model_info(reference.repository, revision=reference.revision, timeout=TIMEOUT)
    return Reference(reference.repository, str(info.sha))


def file_url(reference: Reference, name: str) -> str:
    """Return the URL of a file of a repository."""
    from huggingface_hub import constants, hf_hub_url

    return hf_hub_url(reference.repository, name, revision=reference.revision, endpoint=constants.ENDPOINT)


def open_url(url: str, *, start: int = 0) -> http.client.HTTPResponse:
    """Request a file from the byte ``start`` on; the server may send it from the beginning instead."""
    from huggingface_hub import get_token

    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    if token := get_token():
        # The files are on other machines, and a redirect leads there: they must not see the token.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    return response


@contextmanager
def explain(subject: str) -> Iterator[None]:
    """Turn errors of the hub, the network and the disk into one sentence that contains no secret.

    Args:
        subject: beginning of the message, such as the reference.

    Raises:
        RunError: the block failed.
    """
    try:
        yield
    except (BundleError, InputError, RunError):
        raise
    except Exception as error:  # they have no common base, and the hub's differ between its versions
        raise RunError(f"{subject}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "code", None)
    if isinstance(error, urllib.error.HTTPError):
        error.close()
    if isinstance(status, int):
        reason = _REASONS.get(status) or getattr(error, "server_message", None) or RETRY
        return f"the hub answered {status}: {reason}"
    if isinstance(error, ValueError):  # the hub's library refuses the content, and would refuse it again
        return str(error)
    if isinstance(error.__cause__, Exception):
        return _reason(error.__cause__)
    return f"{error or type(error).__name__}; {RETRY}"
