"""The folder we ship: what it must contain, and how it is checked before anything of it is used.

``manifest.json`` names every other file with its size and SHA-256. Opening a bundle refuses what is
missing, changed, unlisted or of a kind that could run code; only JSON, text, safetensors and ONNX
are kinds we know. A checked file is handed out as the bytes that were hashed, so it cannot be
swapped between the check and its use.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, cast, get_args

from openmed_ner.errors import BundleError
from openmed_ner.tagging.heads import Head
from openmed_ner.tagging.type_merging import TypeMerge
from openmed_ner.text import TagScheme

FORMAT = 1
MANIFEST = "manifest.json"
CARD = "README.md"
TOKENIZER = "tokenizer.json"
MODEL = "model.onnx"
RECORD = "run.json"
SCORES = "scores.json"
PARITY = "parity.json"
KINDS = (".json", ".md", ".onnx", ".safetensors", ".txt")
MAX_JSON = 4 << 20
Kind = Literal["adapter", "full", "runtime"]
Precision = Literal["fp32", "int8", "int8-static"]
"""How a bundle computes; adapter and full bundles are fp32."""
RUNTIMES = ("onnxruntime", "openvino")
"""What can compute a runtime bundle."""


@dataclass(frozen=True, slots=True)
class BackboneReference:
    """The pretrained encoder a model was made from."""

    name: str
    hub_id: str
    revision: str
    sha256: str
    licence: str


@dataclass(frozen=True, slots=True)
class Adaptation:
    """Pretraining on domain text that a model was fine-tuned after.

    Attributes:
        name: of the adapted encoder.
        sha256: of its bundle.
        mode: ``merged``: its adapter is added to the backbone's weights; ``stacked``: it stays an adapter of
            its own, beneath that of the model.
    """

    name: str
    sha256: str
    mode: Literal["merged", "stacked"]


@dataclass(frozen=True, slots=True)
class File:
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle is.

    Attributes:
        name: how people call it.
        kind: ``adapter`` (LoRA and heads), ``full`` (all weights) or ``runtime`` (ONNX, needs no torch).
        version: of the package that wrote it.
        heads: what the model's outputs mean, in order; none: an adapted encoder, to fine-tune from.
        window: most subwords read at once, special ones included.
        overlap: subwords that neighbouring windows share.
        backbone: what it was made from.
        licence: SPDX identifier for the weights.
        precision: of the arithmetic, ``fp32``, ``int8`` or ``int8-static``.
        backend: what computes a runtime bundle unless asked otherwise; its certificate is for that.
        adaptation: what the backbone was adapted to before, if it was.
        encoder_layers: numbers, from 0, of the backbone's layers that were kept; all if empty.
        merges: for a type of several heads, the rule that joins their layers of spans; chosen on dev.
        files: every file but the manifest itself, by relative path.
    """

    name: str
    kind: Kind
    version: str
    heads: tuple[Head, ...]
    window: int
    overlap: int
    backbone: BackboneReference
    licence: str = "Apache-2.0"
    precision: str = "fp32"
    backend: str = RUNTIMES[0]
    adaptation: Adaptation | None = None
    encoder_layers: tuple[int, ...] = ()
    merges: Mapping[str, TypeMerge] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)

    def merge_of(self, label: str) -> TypeMerge:
        """How the layers of a type become one: as chosen, or else by score."""
        corpora = tuple(head.corpus for head in self.heads if label in head.labels)
        return self.merges.get(label) or TypeMerge(corpora)

    def to_json(self) -> dict[str, Any]:
        """The manifest as a JSON object."""
        heads = [
            {
                "corpus": head.corpus,
                "labels": list(head.labels),
                "scheme": head.scheme.value,
                **({"transitions": [list(row) for row in head.transitions]} if head.transitions else {}),
            }
            for head in self.heads
        ]
        rest = {
            "layers" if key == "encoder_layers" else key: value
            for key, value in asdict(self).items()
            if key not in ("heads", "files")
        }
        for optional in ("adaptation", "layers", "merges"):
            if not rest[optional]:
                del rest[optional]
        if self.backend == RUNTIMES[0]:
            del rest["backend"]
        files = {path: asdict(file) for path, file in sorted(self.files.items())}
        return {"format": FORMAT, **rest, "heads": heads, "files": files}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Manifest:
        """Read a manifest; the inverse of :meth:`to_json`.

        Raises:
            BundleError: a key is missing or has the wrong type.
        """
        if record.get("format") != FORMAT:
            raise BundleError(
                f"manifest format {record.get('format')!r}; this version reads {FORMAT}: upgrade openmed-ner"
            )
        try:
            return cls(
                name=str(record["name"]),
                kind=cast(Kind, _one_of(get_args(Kind), record["kind"])),
                version=str(record["version"]),
                heads=tuple(_read_head(head) for head in record["heads"]),
                window=int(record["window"]),
                overlap=int(record["overlap"]),
                backbone=BackboneReference(**{key: str(value) for key, value in record["backbone"].items()}),
                licence=str(record["licence"]),
                precision=str(record["precision"]),
                backend=_one_of(RUNTIMES, record.get("backend", RUNTIMES[0])),
                adaptation=Adaptation(**record["adaptation"]) if record.get("adaptation") else None,
                encoder_layers=tuple(map(int, record.get("layers", ()))),
                merges={
                    str(label): TypeMerge(tuple(map(str, merge["order"])), merge["rule"])
                    for label, merge in record.get("merges", {}).items()
                },
                files={
                    str(path): File(int(file["size"]), str(file["sha256"]))
                    for path, file in record["files"].items()
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"the manifest is damaged: {type(error).__name__}: {error}") from error


def _read_head(record: Mapping[str, Any]) -> Head:
    return Head(
        str(record["corpus"]),
        tuple(map(str, record["labels"])),
        TagScheme(record["scheme"]),
        tuple(tuple(map(float, row)) for row in record.get("transitions", ())),
    )


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder whose contents were checked against its manifest."""

    folder: Path
    manifest: Manifest

    def read(self, name: str) -> bytes:
        """The content of a file, checked.

        Raises:
            BundleError: the manifest does not list it, or it is not what the manifest says.
        """
        file = self.manifest.files.get(name)
        if file is None:
            raise BundleError(f"{self.folder}: this {self.manifest.kind} bundle has no {name}")
        path = self.folder / name
        if path.stat().st_size != file.size:
            raise BundleError(f"{path}: {path.stat().st_size} bytes, the manifest says {file.size}")
        content = path.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != file.sha256:
            raise BundleError(
                f"{path}: SHA-256 is {found}, the manifest says {file.sha256}. The file was changed or "
                "damaged; get the bundle again"
            )
        return content

    def read_json(self, name: str) -> dict[str, Any]:
        """The content of a JSON file, checked."""
        return _parse(self.read(name), self.folder / name)

    def require_heads(self) -> None:
        """Refuse an adapted encoder where a model that tags is needed.

        Raises:
            BundleError: the bundle has no heads.
        """
        if not self.manifest.heads:
            raise BundleError(
                f"{self.folder} is an adapted encoder without heads; fine-tune it first: "
                "openmed-ner train --adapted"
            )

    @property
    def sha256(self) -> str:
        """One digest for the whole bundle: that of its manifest, which names all the others."""
        return hashlib.sha256((self.folder / MANIFEST).read_bytes()).hexdigest()


def read_manifest(content: bytes, folder: Path) -> Manifest:
    """Read a manifest, and check the names in it.

    Raises:
        BundleError: it is damaged, or lists a file that a bundle may not hold.
    """
    manifest = Manifest.from_json(_parse(content, folder / MANIFEST))
    for name in manifest.files:
        _check_name(name, folder)
    return manifest


def open_bundle(folder: Path) -> Bundle:
    """Open a bundle and check every file of it.

    Raises:
        BundleError: it is no bundle, or must not be trusted.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"{folder} is not a bundle: it has no {MANIFEST}")
    if path.stat().st_size > MAX_JSON:
        raise BundleError(f"{path} is larger than {MAX_JSON} bytes, which no manifest is")
    bundle = Bundle(folder, read_manifest(path.read_bytes(), folder))
    present = set(_iter_files(folder))
    for name in bundle.manifest.files:
        if name not in present:
            raise BundleError(f"{folder}: {name} is missing")
    if unlisted := sorted(present - {MANIFEST, *bundle.manifest.files}):
        raise BundleError(f"{folder}: {unlisted[0]} is not in the manifest; a bundle holds nothing unlisted")
    for name in bundle.manifest.files:
        bundle.read(name)
    return bundle


def seal(folder: Path, manifest: Manifest) -> Bundle:
    """Write the manifest of a folder whose other files are in place.

    Raises:
        BundleError: the folder holds a kind of file that a bundle may not.
    """
    files = {}
    for name in sorted(set(_iter_files(folder)) - {MANIFEST}):
        _check_name(name, folder)
        path = folder / name
        path.chmod(0o644)  # safetensors writes files that only their owner can read
        content = path.read_bytes()
        files[name] = File(len(content), hashlib.sha256(content).hexdigest())
    record = {**manifest.to_json(), "files": {name: asdict(file) for name, file in files.items()}}
    partial = folder.parent / f"{folder.name}.{MANIFEST}.partial"
    lines = json.dumps(record, indent=1, ensure_ascii=False)
    partial.write_text(_NUMBERS.sub(_in_a_row, lines) + "\n", encoding="utf-8")
    os.replace(partial, folder / MANIFEST)  # noqa: PTH105 (replace, not rename: also over an existing file)
    return Bundle(folder, Manifest.from_json(record))


_NUMBERS = re.compile(r"\[\n\s*-?\d[-+.e\d,\s]*\]")
"""A list of numbers, each on a line of its own."""


def _in_a_row(match: re.Match[str]) -> str:
    return "[" + " ".join(match[0].strip("[]").split()) + "]"


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is no JSON: {error}") from error
    if not isinstance(record, dict):
        raise BundleError(f"{path} holds a {type(record).__name__} where an object is expected")
    return record


def _one_of(known: Sequence[str], value: object) -> str:
    if value not in known:
        raise ValueError(f"expected one of {', '.join(known)}, found {value!r}")
    return str(value)


def _iter_files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise BundleError(f"{path} is a symbolic link; a bundle holds only plain files")
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def _check_name(name: str, folder: Path) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or name == MANIFEST:
        raise BundleError(f"{folder}: the manifest lists {name!r}, which does not lie inside the bundle")
    if path.suffix not in KINDS:
        raise BundleError(
            f"{folder}: {name} is of a kind a bundle may not hold; allowed: {', '.join(KINDS)}. "
            "Formats that can run code on loading, such as pickle, are refused"
        )
