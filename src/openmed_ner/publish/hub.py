"""The Hugging Face hub, or the mirror that ``HF_ENDPOINT`` names: references, addresses, refusals.

Files come by plain HTTP, which every version of the hub's library and every mirror can do, and which lets a
file be checked as it arrives; the library does the rest. The price: large files take no faster road.
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

AGAIN = "run the command again to go on"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_COMMIT = re.compile("[0-9a-f]{40}")
TIMEOUT = 60
_REFUSALS = {
    401: "the access token was not accepted, or a private repository needs one: set HF_TOKEN",
    403: "this account may not do that; a gated repository has terms to accept on its page",
    404: "no such repository, branch, commit or file; a private one needs an access token: set HF_TOKEN",
    409: "someone else has published meanwhile; look at what is there, and " + AGAIN,
    412: "someone else has published meanwhile; look at what is there, and " + AGAIN,
    416: "an earlier attempt got more than the file holds; remove the folder that ends in .partial",
    429: "too many requests; wait, and " + AGAIN,
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository of the hub and a state of it, written ``owner/name@revision``.

    Attributes:
        repository: ``owner/name``.
        revision: a full commit hash, or a branch or tag, which is good for asking only.
    """

    repository: str
    revision: str = "main"

    def __post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.repository) or ".." in self.repository:
            raise InputError(f"{self.repository!r} names no repository; expected owner/name")

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read ``owner/name@revision``; the revision is ``main`` if left out."""
        repository, _, revision = text.partition("@")
        return cls(repository, revision or "main")

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}"

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a full commit hash."""
        return _COMMIT.fullmatch(self.revision) is not None


def resolve(reference: Reference) -> Reference:
    """Ask the hub which commit a branch or tag stands for now.

    Raises:
        RunError: offline, or the hub does not answer, or knows no such repository or revision.
    """
    require_network("asking the hub", instead="name the commit yourself")
    with explain(str(reference)):
        from huggingface_hub import HfApi

        found = HfApi().model_info(reference.repository, revision=reference.revision, timeout=TIMEOUT)
    return Reference(reference.repository, str(found.sha))


def address(reference: Reference, name: str) -> str:
    """Where a file of a repository is."""
    from huggingface_hub import constants, hf_hub_url

    return hf_hub_url(reference.repository, name, revision=reference.revision, endpoint=constants.ENDPOINT)


def open_url(url: str, *, start: int = 0) -> http.client.HTTPResponse:
    """Ask for a file from a byte on; the server may begin at the beginning all the same."""
    from huggingface_hub import get_token

    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    if token := get_token():
        # The files lie on other machines, where a redirect leads: these must not see the token.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    return response


@contextmanager
def explain(place: str) -> Iterator[None]:
    """Turn what the hub, the network and the disk refuse into one sentence that names no secret."""
    try:
        yield
    except (BundleError, InputError, RunError):
        raise
    except Exception as error:  # they have no common base, and the hub's differ between its versions
        raise RunError(f"{place}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "code", None)
    if isinstance(error, urllib.error.HTTPError):
        error.close()
    if isinstance(status, int):
        said = _REFUSALS.get(status) or getattr(error, "server_message", None) or AGAIN
        return f"the hub answered {status}: {said}"
    if isinstance(error, ValueError):  # what was to be sent is wrong, and will be so again
        return str(error)
    if isinstance(error.__cause__, Exception):
        return _reason(error.__cause__)
    return f"{error or type(error).__name__}; {AGAIN}"
