"""Values of options that need no conversion, so that typer does not import pydantic for them.

Typer 0.29 converts every value with pydantic, defaults included. To import and prepare it takes 80 ms of each
start. Defaults, texts, choices and paths come out as they went in. All else is left to typer, and so is every
mistake, whose message is then typer's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

_DEFAULTS = (NoneType, bool, int, float, str)
"""Types of defaults that are what the function expects. Typer has values of its own for a missing default."""


def keep_ready_values(parameters: Iterable[Any], function: Callable[..., Any] | None) -> None:
    """Let parameters of a command take values as they are where typer would not change them.

    Args:
        parameters: parameters that typer made of the function, or added. They are changed.
        function: the function of the command, if it has one.
    """
    hints = get_type_hints(function) if function else {}
    for parameter in parameters:
        kind = _without_none(hints.get(parameter.name))
        parameter.process_value = partial(_process, parameter, kind)


def _process(parameter: Any, kind: Any, context: Any, value: Any) -> Any:
    """Return a value of a parameter, which typer converts unless it is ready."""
    source = context.get_parameter_source(parameter.name)
    if source is not None and source.name == "DEFAULT":
        is_ready = type(value) in _DEFAULTS and not parameter.required
    else:
        ready = _read(kind, value)
        is_ready, value = ready is not None, value if ready is None else ready
    if not is_ready:
        return type(parameter).process_value(parameter, context, value)
    return parameter.callback(context, parameter, value) if parameter.callback else value


def _read(kind: Any, value: Any) -> Any:
    """Return the value of a text for a type, and ``None`` if typer must convert or refuse it."""
    if get_origin(kind) is list:
        (inner,) = get_args(kind)
        values = [_read(inner, text) for text in value]
        return None if None in values else values
    if kind is str:
        return value
    if get_origin(kind) is Literal:
        return value if value in get_args(kind) else None
    if kind is Path and (os.access(value, os.R_OK) or not os.path.lexists(value)):
        return Path(value)
    return None


def _without_none(kind: Any) -> Any:
    """The type of the values of an option that may be left out."""
    others = [part for part in get_args(kind) if part is not NoneType]
    return others[0] if NoneType in get_args(kind) and len(others) == 1 else kind
