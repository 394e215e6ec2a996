"""Every exception class of this package: what it raises on purpose derives from :class:`OpenMedError`.

::

    OpenMedError
    ├── InputError               the command line or an input file is wrong (exit status 2)
    │   ├── CorpusFormatError    a file does not follow its format
    │   │   ├── AnnotationError  only an annotation does not, and the text can be read without it
    │   │   └── UnreadFormatError a file is of no format that is read
    │   ├── UnrepresentableError a document does not fit the format it is to be written in
    │   ├── CorpusError          a corpus is unknown, missing or not the one we know
    │   ├── BundleError          a bundle is damaged, tampered with or unsafe
    │   ├── RecipeError          a recipe or a setting is wrong
    │   ├── UnknownConceptError  no terminology has a concept
    │   └── MissingExtraError    an optional dependency is not installed
    └── RunError                 the run itself failed (exit status 1)
        ├── DivergenceError      its loss is no longer a finite number
        ├── OfflineError         it needs a network, and the package is offline
        ├── RefusedError         the HTTP service refuses a request
        ├── QueueFullError       the queue of the service has no room for a request
        ├── ClosedError          the queue of the service is closed
        └── TaggingFailedError   the model failed on documents of a request

A message tells where, what was found, what was expected, and the way out.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that every class of this module's namespace is an exception, as a test expects
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any


class OpenMedError(Exception):
    """Base of the family; catch it to catch everything this package raises on purpose."""

    exit_status = 1


class InputError(OpenMedError):
    """The caller gave something that cannot be used."""

    exit_status = 2


class CorpusFormatError(InputError):
    """A file does not follow its format; the message names the file and the line."""


class AnnotationError(CorpusFormatError):
    """An annotation does not fit its text, or has the wrong shape; the text itself can be read."""


class UnreadFormatError(CorpusFormatError):
    """A file is of a kind that is not read, or of an unknown one.

    Attributes:
        finding: description of the kind, without the name of the file.
    """

    def __init__(self, message: str, finding: str) -> None:
        super().__init__(message)
        self.finding = finding

    def __reduce__(self) -> tuple[type[UnreadFormatError], tuple[str, str]]:
        return type(self), (str(self), self.finding)


class UnrepresentableError(InputError):
    """A document holds what the format it is to be written in cannot; the message names both."""


class CorpusError(InputError):
    """A corpus is unknown, absent, or differs from the release its catalog row describes."""


class BundleError(InputError):
    """A bundle cannot be trusted or understood."""


class RecipeError(InputError):
    """A training recipe or a setting is wrong."""


class UnknownConceptError(InputError):
    """No terminology in use has a concept that the caller names."""


class MissingExtraError(InputError):
    """An optional dependency is not installed; the message carries the command that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed, and this step needs it. "
            f"Install it with: pip install 'openmed-ner[{extra}]'"
        )


class RunError(OpenMedError):
    """The run failed for a reason outside the caller's input."""


class DivergenceError(RunError):
    """The loss of a training run is no longer finite: its learning rate is too high."""


class OfflineError(RunError, ConnectionError):
    """An operation needs the network, and the package is offline.

    It is a ``ConnectionError`` too, so a library that can do without a network does.
    """


class RefusedError(RunError):
    """A request to the HTTP service that is refused.

    Attributes:
        status: HTTP status code.
        code: stable name of the reason, for programs.
        message: the reason, for people; at most ``MAX_MESSAGE`` characters.
        places: fields, texts or lines that the message is about.
        headers: headers of the response.
    """

    MAX_MESSAGE = 2000

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        places: Sequence[str] = (),
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)  # without the message, which may quote the request
        self.status, self.code, self.message = status, code, message[: self.MAX_MESSAGE]
        self.places = tuple(places)
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, round(retry_after)))


class QueueFullError(RunError):
    """The queue of the HTTP service has no room for a request.

    Attributes:
        retry_after: seconds after which it is expected to have room.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"no room for about {retry_after:.0f} seconds")
        self.retry_after = retry_after


class ClosedError(RunError):
    """The queue of the HTTP service accepts no more requests."""


class TaggingFailedError(RunError):
    """The model failed on documents of a request.

    Attributes:
        indices: positions of these documents in the request.
    """

    def __init__(self, indices: Sequence[int]) -> None:
        super().__init__(f"the model failed on {len(indices)} documents")
        self.indices = tuple(indices)


_MEMORY_SHORTAGE = re.compile(
    r"allocate memory|bad_alloc|bad allocation|out of memory|start new thread|failed to map segment",
    re.IGNORECASE,
)
"""Messages of native libraries, the interpreter and the loader of libraries."""


def is_memory_shortage(error: BaseException | None) -> bool:
    """True if an error or a cause of it is a lack of memory, which some libraries tell by message only."""
    while error is not None:
        if isinstance(error, MemoryError) or _MEMORY_SHORTAGE.search(str(error)):
            return True
        error = error.__cause__
    return False


def require_extra(module: str, extra: str) -> Any:
    """Import a module of an optional dependency.

    Args:
        module: dotted name of the module.
        extra: the extra of ``openmed-ner`` that installs it.

    Raises:
        MissingExtraError: the module, or one that it needs, is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name or module), extra) from error


def suggest(name: str, choices: Iterable[str]) -> str:
    """Write ``; did you mean …?`` with the nearest choice, whatever its case; empty if none is near."""
    by_key = {choice.casefold(): choice for choice in choices}
    near = get_close_matches(name.strip().casefold(), by_key, n=1)
    return f"; did you mean {by_key[near[0]]}?" if near else ""
