"""Write the reference pages of the documentation from the code itself.

    python tools/write_reference.py

Into ``docs/reference``: ``cli.md`` from the commands, ``settings.md`` from the dataclasses of recipes,
``python.md`` from the public names and their docstrings, ``rest.md`` from the service's OpenAPI document. The
pages are in the repository, to be read without building anything, and a test fails when one is stale. They
depend on the code alone, not on a terminal's width or on the machine.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from markdown_parts import code, page, table
from openapi_page import describe

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/reference"
NOTE = "<!-- Written by `python tools/write_reference.py`; changes belong into the code. -->"
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises")
GROUPS = {
    "api": "Verbs",
    "inference": "Tagging",
    "text": "Documents",
    "formats": "Reading and writing",
    "data": "Examples",
    "training": "Recipes",
    "bundle": "Bundles",
    "corpora": "Corpora",
    "evaluation": "Scores",
    "errors": "Errors",
}


def cli() -> str:
    """Every command with its arguments and options."""
    from typer.main import get_command

    from openmed_ner.cli.app import app

    root = get_command(app)
    context = root.make_context("openmed-ner", [], resilient_parsing=True)
    parts = ["# Command line", NOTE, "What `openmed-ner COMMAND --help` prints, on one page."]
    for command, inner in _iter_commands(root, context):
        usage = " ".join([inner.command_path, *command.collect_usage_pieces(inner)])
        text, _, example = inspect.cleandoc(command.help or "").partition("\n\nExample:\n")
        parts += [f"## {inner.command_path}", f"```text\n{usage}\n```", text]
        if example:
            parts.append(f"Example:\n\n```text\n{textwrap.dedent(example)}\n```")
        rows = [parameter.get_help_record(inner) for parameter in command.get_params(inner)]
        parts.append(table(("option", "meaning"), ((code(row[0]), row[1]) for row in rows if row)))
    return page(parts)


def _iter_commands(command: Any, context: Any) -> Iterator[tuple[Any, Any]]:
    """Yield a command with its context, then those below it, in the order in which help lists them."""
    yield command, context
    for name in getattr(command, "commands", ()):
        child = command.load(name)
        yield from _iter_commands(child, type(context)(child, parent=context, info_name=name))


def rest() -> str:
    """Every route of the service, with fields, status codes and examples, as the embedded model has them."""
    from openmed_ner.service.app import create_app
    from openmed_ner.service.settings import ServiceSettings

    app = create_app(_TaggerStub(), ServiceSettings(token="a-token-of-some-length"))  # type: ignore[arg-type]
    return page(["# REST interface", NOTE, *describe(app.openapi())])


class _TaggerStub:
    """Stands for the embedded tagger: a service can be described without loading a model."""

    def __init__(self) -> None:
        from openmed_ner import open_bundle
        from openmed_ner.inference.tagger import embedded_bundle

        self.manifest = open_bundle(embedded_bundle()).manifest
        self.corpora = tuple(head.corpus for head in self.manifest.heads)
        self.types = tuple(dict.fromkeys(label for head in self.manifest.heads for label in head.labels))


def settings() -> str:
    """Every setting of a recipe, with its default and its meaning."""
    from openmed_ner.training.config import PretrainRecipe, Recipe

    parts = ["# Settings", NOTE, "What a TOML recipe can say, and what holds where it is silent."]
    for title, kind in (("openmed-ner train", Recipe), ("openmed-ner pretrain", PretrainRecipe)):
        parts += [f"## {title}", *_describe_settings(kind())]
    return page(parts)


def _describe_settings(values: Any, group: str = "") -> Iterator[str]:
    """A table of the settings of a group, then the groups below it."""
    meanings = dict(_attributes(inspect.getdoc(values) or ""))
    defaults = {field.name: getattr(values, field.name) for field in dataclasses.fields(values)}
    groups = {name: value for name, value in defaults.items() if dataclasses.is_dataclass(value)}
    if group:
        yield f"### `[{group}]`"
    rows = [
        (code(name), code(_toml(value)), meanings[name])
        for name, value in defaults.items()
        if name not in groups
    ]
    yield table(("setting", "default", "meaning"), rows)
    for name, value in groups.items():
        yield from _describe_settings(value, name)


def _attributes(docstring: str) -> Iterator[tuple[str, str]]:
    """Names and meanings of the ``Attributes`` section of a docstring."""
    body = re.split(r"^Attributes:\n", docstring, flags=re.MULTILINE)[-1]
    for line in _joined(textwrap.dedent(body)):
        name, _, meaning = line.partition(": ")
        yield name, meaning.replace("``", "`")


def _toml(value: Any) -> str:
    """A default in the notation of a recipe."""
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


def python() -> str:
    """Every public name with its signature and its docstring."""
    import openmed_ner

    names = {name: getattr(openmed_ner, name) for name in openmed_ner.__all__}
    parts = ["# Python", NOTE, "The names of `openmed_ner`; whatever else the package has may change."]
    for group, title in GROUPS.items():
        members = {name: value for name, value in names.items() if _group(value) == group}
        if members:
            parts.append(f"## {title}")
        for name, value in members.items():
            parts += _describe(name, value, level=3)
            if inspect.isclass(value) and not issubclass(value, Exception | Enum):
                for member, inner in _iter_members(value):
                    parts += _describe(f"{name}.{member}", inner, level=4)
    return page(parts)


def _group(value: Any) -> str:
    """The package that a name lives in."""
    return str(value.__module__.split(".")[1])


def _iter_members(value: type) -> Iterator[tuple[str, Any]]:
    """Yield the documented methods and properties that a class defines itself."""
    for name, member in vars(value).items():
        plain = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        public = name == "__call__" or not name.startswith("_")
        if public and (isinstance(plain, property) or callable(plain)) and inspect.getdoc(plain):
            yield name, member


def _describe(name: str, value: Any, *, level: int) -> Iterator[str]:
    shown = name.replace("_", r"\_")
    yield f"{'#' * level} {shown}"
    plain = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    if isinstance(plain, property) and plain.fget:
        yield f"```text\n{name}: {inspect.signature(plain.fget).return_annotation}\n```"
    elif not (inspect.isclass(plain) and issubclass(plain, Exception | Enum)):
        yield f"```text\n{_signature(name, plain)}\n```"
    yield _markdown(inspect.getdoc(plain) or "")
    if inspect.isclass(plain) and issubclass(plain, Enum):
        yield f"One of {', '.join(f'`{member.name}`' for member in plain)}."


def _signature(name: str, value: Any) -> str:
    """The signature as a call, on one line per argument if it is long."""
    signature = inspect.signature(value)
    arguments: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.name == "self" or parameter.name == "cls":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in arguments:
            arguments.append("*")
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        arguments.append(stars + _argument(parameter))

    returned = signature.return_annotation
    tail = "" if inspect.isclass(value) or returned is inspect.Signature.empty else f" -> {returned}"
    line = f"{name}({', '.join(arguments)}){tail}"
    if len(line) <= 100:
        return line
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), f"){tail}"])


def _argument(parameter: inspect.Parameter) -> str:
    has_type = parameter.annotation is not inspect.Parameter.empty
    text = f"{parameter.name}: {parameter.annotation}" if has_type else parameter.name
    if parameter.default is inspect.Parameter.empty:
        return text
    shown = getattr(parameter.default, "__name__", repr(parameter.default))  # functions by their names
    return f"{text} = {'...' if shown.startswith('<') else shown}"


def _markdown(docstring: str) -> str:
    """A Google docstring as Markdown: sections become lists, literal blocks and examples code."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", docstring).replace("``", "`")
    parts = []
    for block in re.split(r"\n\s*\n", text):
        head, _, body = block.partition("\n")
        if head.rstrip(":") in SECTIONS and head.endswith(":"):
            parts.append(f"**{head[:-1]}**\n\n{_items(textwrap.dedent(body))}")
        elif block.lstrip().startswith(">>>"):
            parts.append(f"```pycon\n{textwrap.dedent(block)}\n```")
        elif block.startswith("    "):
            parts.append(f"```text\n{textwrap.dedent(block)}\n```")
        elif block.strip() != "::":
            parts.append(re.sub(r"::$", ":", block))
    return "\n\n".join(parts)


def _items(body: str) -> str:
    """``name: meaning`` lines as a list; an indented line continues the one before."""
    return "\n".join("- " + re.sub(r"^([A-Za-z_]+):", r"`\1`:", line) for line in _joined(body))


def _joined(body: str) -> list[str]:
    lines: list[str] = []
    for line in body.splitlines():
        if line.startswith(" ") and lines:
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    return lines


PAGES: Mapping[str, Callable[[], str]] = {
    "cli.md": cli,
    "rest.md": rest,
    "settings.md": settings,
    "python.md": python,
}


def main() -> None:
    """Rewrite the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, write in PAGES.items():
        (FOLDER / name).write_text(write(), encoding="utf-8")


if __name__ == "__main__":
    main()
