"""Describe a service in Markdown, from its OpenAPI document.

Every route with its parameters, bodies, status codes and examples, then every object with its fields. All
texts come from the service itself: a field without a description must get one in the service's code.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any

from markdown_parts import code, table

LIMITS = {
    "minimum": "from",
    "exclusiveMinimum": "above",
    "maximum": "to",
    "exclusiveMaximum": "below",
    "minLength": "at least",
    "maxLength": "at most",
    "minItems": "at least",
    "maxItems": "at most",
}


def describe(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the parts of the page, its title aside."""
    yield _prose(document["info"])
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"## {method.upper()} {path}"
            yield from _operation(operation)
    yield "## Objects"
    for name, schema in document.get("components", {}).get("schemas", {}).items():
        yield f"### {name}"
        yield _prose(schema)
        yield _fields(schema)
        if "enum" in schema:
            yield f"One of {', '.join(code(value) for value in schema['enum'])}."


def _operation(operation: Mapping[str, Any]) -> Iterator[str]:
    yield _prose(operation)
    rows = [
        (code(field["name"]), field["in"], _type(field["schema"]), _prose(field))
        for field in operation.get("parameters", ())
    ]
    yield table(("parameter", "in", "type", "meaning"), rows)
    content = operation.get("requestBody", {}).get("content", {})
    for media, body in content.items():
        schema = body.get("schema", {})
        yield f"Body: {_body(media, schema)}."
        yield _fields(schema)
    yield from _examples("Request", content)
    yield _statuses(operation["responses"])
    for status, answer in operation["responses"].items():
        yield from _examples(f"Answer {status}", answer.get("content", {}))


def _statuses(responses: Mapping[str, Any]) -> str:
    rows = []
    for status, answer in responses.items():
        bodies = answer.get("content", {}).items()
        kinds = ", ".join(_body(media, body.get("schema", {})) for media, body in bodies)
        rows.append((status, _prose(answer), kinds))
    return table(("status", "meaning", "body"), rows)


def _body(media: str, schema: Mapping[str, Any]) -> str:
    """A media type, and the object it holds if it is described."""
    kind = _type(schema)
    return f"{code(media)}: {kind}" if "[" in kind else code(media)


def _examples(title: str, content: Mapping[str, Any]) -> Iterator[str]:
    for body in content.values():
        named = {f", {name}": example["value"] for name, example in body.get("examples", {}).items()}
        if "example" in body:
            named[""] = body["example"]
        for name, value in named.items():
            plain = isinstance(value, str)
            text = value if plain else json.dumps(value, indent=1, ensure_ascii=False)
            yield f"{title}{name}:\n\n```{'text' if plain else 'json'}\n{text.rstrip()}\n```"


def _fields(schema: Mapping[str, Any]) -> str:
    rows = []
    for name, field in schema.get("properties", {}).items():
        default = code(json.dumps(field["default"])) if "default" in field else ""
        need = "needed" if name in schema.get("required", ()) else default
        rows.append((code(name), _type(field), need, _prose(field)))
    return table(("field", "type", "default", "meaning"), rows)


def _type(schema: Mapping[str, Any]) -> str:
    """A JSON schema in a few words, with a link where it has a name."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(_type(part) for part in schema[key])
    if "const" in schema or "enum" in schema:
        return ", ".join(code(value) for value in schema.get("enum", [schema.get("const")]))
    kind = str(schema.get("type", "anything")) if schema else ""
    if kind == "array":
        kind = f"list of {_type(schema.get('items', {})) or 'anything'}"
    # The framework writes the bounds of whole numbers as fractions.
    to_shown = int if schema.get("type") == "integer" else lambda value: value
    bounds = (f"{word} {to_shown(schema[key]):,}" for key, word in LIMITS.items() if key in schema)
    return ", ".join([kind, *bounds])


def _prose(owner: Mapping[str, Any]) -> str:
    return inspect.cleandoc(owner.get("description", "")).replace("``", "`")
