"""The reference page at ``/docs``: plain HTML, written from the OpenAPI document, without external files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

STYLE = """:root { color-scheme: light dark }
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem }
code { font-size: .95em }
pre { overflow-x: auto; padding: .8rem; border: 1px solid }
table { border-collapse: collapse }
td, th { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top }
"""


def write_reference(document: dict[str, Any]) -> str:
    """Write the page of an OpenAPI document."""
    info = document["info"]
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f'<title>{escape(info["title"])}</title><link rel="stylesheet" href="/docs.css"></head><body>',
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f'<p>{escape(info.get("description", ""))}</p><p><a href="/openapi.json">OpenAPI document</a></p>',
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts += _iter_operation(f"{method.upper()} {path}", operation)
    return "\n".join([*parts, "</body></html>\n"])


def _iter_operation(name: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{escape(name)}</code></h2>"
    yield f"<p>{escape(operation.get('description') or operation.get('summary', ''))}</p>"
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        yield f"<h3>Request: <code>{escape(media_type)}</code></h3>"
        required = schema.get("required", ())
        rows = [
            (name, f"{'Required. ' if name in required else ''}{_describe(field)}")
            for name, field in schema.get("properties", {}).items()
        ]
        yield _table(rows)
        if "example" in content:
            yield f"<pre>{escape(json.dumps(content['example'], indent=1, ensure_ascii=False))}</pre>"

    yield "<h3>Answers</h3>"
    yield _table(
        [
            (status, f"{answer['description']} {', '.join(answer.get('content', {}))}")
            for status, answer in operation["responses"].items()
        ]
    )


def _describe(schema: dict[str, Any]) -> str:
    choices = schema.get("enum") or schema.get("items", {}).get("enum") or []
    items = schema.get("items", {}).get("type", "")
    kind = f"{schema.get('type', '')} of {items}s." if items else schema.get("type", "")
    parts = [kind, schema.get("description", "").replace("``", "")]
    parts += [f"One of: {', '.join(map(str, choices))}."] if choices else []
    parts += [f"Default: {schema['default']}."] if schema.get("default") is not None else []
    return " ".join(parts)


def _table(rows: list[tuple[str, str]]) -> str:
    lines = (f"<tr><th><code>{escape(name)}</code></th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{''.join(lines)}</table>"
