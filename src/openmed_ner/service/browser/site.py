"""Write the page that needs no service, with all that it loads.

Every file comes from the folder itself, and the security policy of the page allows no other site. The worker
of the page is started in a way that passes the policy on to it, so its code sends text nowhere either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openmed_ner.bundle import Bundle
from openmed_ner.bundle.files import MANIFEST
from openmed_ner.bundle.manifest import TOKENIZER
from openmed_ner.errors import InputError, RunError
from openmed_ner.service.browser.runtime import find_runtime
from openmed_ner.service.browser.wordpiece import describe_characters
from openmed_ner.service.outputs import write_formats_module
from openmed_ner.storage import atomic_folder, write_json

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
"""Security policy of the page: no address but those of its own site."""
LISTING = "site.json"
"""Name of the list of what the page loads."""
PACKAGE = "openmed_ner.zip"
"""Name of the archive with this package."""
_EDITS = {
    '<meta charset="utf-8">\n': (
        f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
    ),
    '  <a href="docs">REST API</a>\n': "",
    "This page needs JavaScript. Without it, POST your text to /tag.": "This page needs JavaScript.",
    "Nothing you enter leaves this machine's service; nothing is stored.</p>\n": (
        "Your browser tags the text itself. Nothing you enter leaves this page, and nothing is stored.</p>\n"
        '    <p id="loaded" class="quiet" role="status"></p>\n'
    ),
    '      <label class="switch"><input type="checkbox" name="add" value="context"> '
    "Negation, history and family</label>\n": "",
}
"""Changes of the page of the service. Negation needs packages that a browser does not have."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that an archive can give a file."""
_PACKED = (".py", ".json")
_LEFT_OUT = ("cli", "data", "integrations", "model", "publish", "reports", "training")
"""Packages that the page does not use."""


@dataclass(frozen=True, slots=True)
class Site:
    """A folder with a page.

    Attributes:
        folder: the folder.
        sizes: bytes that a visitor loads, by what they belong to.
    """

    folder: Path
    sizes: Mapping[str, int]


def write_site(bundle: Bundle, folder: Path, runtime: Path) -> Site:
    """Write a page that tags with a bundle.

    Args:
        bundle: a runtime bundle over a BERT encoder, for ONNX Runtime.
        folder: new folder of the page; must not exist.
        runtime: folder with the programs that the page needs, see
            :func:`openmed_ner.service.browser.runtime.find_runtime`.

    Raises:
        InputError: a browser cannot compute the bundle, or a part of the runtime is missing.
        RunError: the folder exists.
    """
    if folder.exists():
        raise RunError(f"{folder} exists; name a new folder")
    manifest = bundle.manifest
    if manifest.kind != "runtime" or manifest.backend != "onnxruntime":
        made = manifest.backend if manifest.kind == "runtime" else "torch"
        raise InputError(
            f"{bundle.folder}: {made} computes this bundle, and a page needs one for onnxruntime; "
            "make it with: openmed-ner bundles export"
        )
    programs = find_runtime(runtime)
    characters = describe_characters(bundle.read(TOKENIZER).decode("utf-8"))

    with atomic_folder(folder) as partial:
        sizes = {}
        for program, paths in programs.items():
            contents = {f"runtime/{path.name}": path.read_bytes() for path in paths}
            sizes[program] = _write_files(partial, contents)
        names = list(manifest.files)
        model = {f"bundle/{name}": bundle.read(name) for name in names}
        model[f"bundle/{MANIFEST}"] = (bundle.folder / MANIFEST).read_bytes()
        model["characters.json"] = json.dumps(characters, ensure_ascii=False).encode()
        sizes[manifest.name] = _write_files(partial, model)
        sizes["openmed-ner"] = _write_files(partial, {PACKAGE: _pack_package(), **_make_page()})
        write_json(partial / LISTING, {"bundle": [MANIFEST, *names], "sizes": sizes})
    return Site(folder, sizes)


def _write_files(folder: Path, contents: Mapping[str, bytes]) -> int:
    """Write files, and return the number of their bytes."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return sum(map(len, contents.values()))


def _make_page() -> dict[str, bytes]:
    """Files of the page: those of the service, but for the way of a request and some words."""
    own, shared = files("openmed_ner.service.browser") / "page", files("openmed_ner.service") / "page"
    page = {file.name: file.read_bytes() for folder in (shared, own) for file in folder.iterdir()}
    page["formats.js"] = write_formats_module().encode()
    index = page["index.html"].decode()
    for old, new in _EDITS.items():
        if old not in index:
            raise RuntimeError(f"index.html has changed: {old!r} is not in it")
        index = index.replace(old, new)
    page["index.html"] = index.encode()
    return page


def _pack_package() -> bytes:
    """Pack this package for Python in the browser; equal packages give equal bytes."""
    root = Path(str(files("openmed_ner")))
    content = BytesIO()
    with ZipFile(content, "w", ZIP_DEFLATED) as archive:
        for path in sorted(root.rglob("*")):
            place = path.relative_to(root)
            if path.suffix in _PACKED and place.parts[0] not in _LEFT_OUT:
                name = ZipInfo(f"openmed_ner/{place.as_posix()}", _EPOCH)
                archive.writestr(name, path.read_bytes(), ZIP_DEFLATED)
    return content.getvalue()
