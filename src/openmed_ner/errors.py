"""Every exception this package raises on purpose.

::

    OpenMedError
    ├── InputError               the command line or an input file is wrong (exit status 2)
    │   ├── CorpusFormatError    a file does not follow its format
    │   ├── UnrepresentableError a document does not fit the format it is to be written in
    │   ├── CorpusError          a corpus is unknown, missing or not the one we know
    │   ├── BundleError          a bundle is damaged, tampered with or unsafe
    │   ├── RecipeError          a recipe or a setting is wrong
    │   └── MissingExtraError    an optional dependency is not installed
    └── RunError                 the run itself failed (exit status 1)
        └── DivergenceError      its loss is no longer a finite number

A message tells where, what was found, what was expected, and the way out.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


class OpenMedError(Exception):
    """Base of the family; catch it to catch everything this package raises on purpose."""

    exit_status = 1


class InputError(OpenMedError):
    """The caller gave something that cannot be used."""

    exit_status = 2


class CorpusFormatError(InputError):
    """A file does not follow its format; the message names the file and the line."""


class UnrepresentableError(InputError):
    """A document holds what the format it is to be written in cannot; the message names both."""


class CorpusError(InputError):
    """A corpus is unknown, absent, or differs from the release its catalog row describes."""


class BundleError(InputError):
    """A bundle cannot be trusted or understood."""


class RecipeError(InputError):
    """A training recipe or a setting is wrong."""


class MissingExtraError(InputError):
    """An optional dependency is not installed; the message carries the command that mends it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed, and this step needs it. "
            f"Install it with: pip install 'openmed-ner[{extra}]'"
        )


class RunError(OpenMedError):
    """The run failed for a reason outside the caller's input."""


class DivergenceError(RunError):
    """The loss of a training run is no longer finite: its learning rate is too high."""


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
