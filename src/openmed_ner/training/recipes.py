"""Recipes: dataclasses of settings, filled from TOML files.

An unknown key is an error that names its nearest neighbour, and ``--set schedule.epochs=3`` overrides one
value by its dotted name. Written by hand, since its messages name the key, the value and what was expected.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from openmed_ner.errors import RecipeError

SettingsT = TypeVar("SettingsT")


def require(condition: bool, name: str, value: object, expected: str) -> None:
    """Check one setting.

    Args:
        condition: truth of the check.
        name: dotted name of the setting, for the message.
        value: value of the setting.
        expected: values that are allowed, in words.

    Raises:
        RecipeError: the condition is false.
    """
    if not condition:
        raise RecipeError(f"{name} = {value!r}: expected {expected}")


def read_recipe(
    path: Path | None, overrides: Iterable[str] = (), *, kind: type[SettingsT], **values: object
) -> SettingsT:
    """Build a recipe from a TOML file, ``key=value`` overrides, and values already parsed.

    Args:
        path: TOML file, or JSON by its suffix; ``None`` if there is none.
        overrides: settings as ``key=value``, with dotted keys.
        kind: ``Recipe`` for fine-tuning, ``PretrainRecipe`` for pretraining.
        values: settings by name; they override all others.

    Raises:
        RecipeError: the file is missing or not valid, a key is unknown, or a value has the wrong type.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            parse = json.loads if path.suffix == ".json" else tomllib.loads
            table = parse(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
            raise RecipeError(f"cannot read the recipe {path}: {error}") from error
    for override in overrides:
        _apply(table, override)
    table.update(values)
    return from_table(kind, table)


def _apply(table: dict[str, Any], override: str) -> None:
    dotted, separator, raw = override.partition("=")
    if not separator:
        raise RecipeError(f"--set {override!r}: expected key=value")
    *parents, name = dotted.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise RecipeError(f"--set {override!r}: {parent} is not a group of settings")
    try:
        table[name] = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        table[name] = raw.strip()


def from_table(
    kind: type[SettingsT], table: Mapping[str, Any], *, prefix: str = "", base: SettingsT | None = None
) -> SettingsT:
    """Fill a dataclass of settings from a table, group by group.

    Args:
        kind: dataclass to fill.
        table: values by name.
        prefix: dotted name of the group, for messages.
        base: values of settings that the table lacks; the defaults of ``kind`` if ``None``.

    Raises:
        RecipeError: a key is unknown, or a value has the wrong type.
    """
    hints = get_type_hints(kind)
    base = kind() if base is None else base
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if key not in names:
            near = get_close_matches(key, names, n=1, cutoff=0.0)
            raise RecipeError(f"unknown setting {name!r}; did you mean {prefix}{near[0]!s}?")
        values[key] = _convert(name, value, hints[key], getattr(base, key))
    return replace(base, **values)  # type: ignore[type-var]


def _convert(name: str, value: Any, hint: Any, base: Any) -> Any:
    """Check a value against the type of its setting, and convert lists to tuples, integers to floats."""
    if hint is Any:
        return value

    if get_origin(hint) is Mapping:
        require(isinstance(value, Mapping), name, value, "a table")
        kind: Any = get_args(hint)[1]
        default: Any = kind() if is_dataclass(kind) else None  # type: ignore[operator]
        return {key: _convert(f"{name}.{key}", item, kind, default) for key, item in value.items()}

    if is_dataclass(hint) and isinstance(hint, type):
        require(isinstance(value, Mapping), name, value, "a group of settings")
        return from_table(hint, value, prefix=f"{name}.", base=base)

    if get_origin(hint) is Literal:
        require(value in get_args(hint), name, value, f"one of {', '.join(map(str, get_args(hint)))}")
        return value

    if get_origin(hint) is tuple:
        require(isinstance(value, list | tuple), name, value, "a list")
        kind = get_args(hint)[0]
        return tuple(_convert(f"{name}[{index}]", item, kind, None) for index, item in enumerate(value))

    # In Python a bool is an int; in a recipe it is not.
    allowed: type | UnionType = int | float if hint is float else hint
    boolean = isinstance(value, bool) and hint is not bool
    require(isinstance(value, allowed) and not boolean, name, value, hint.__name__)
    return hint(value)
