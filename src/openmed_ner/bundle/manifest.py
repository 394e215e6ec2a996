"""The contents of a bundle, and the checks before any of its files is used.

``manifest.json`` names every other file with its size and SHA-256. A bundle with a file that is missing,
changed, unlisted or able to run code is refused: only JSON, text, safetensors and ONNX are allowed. A file
is handed out as the very bytes that were hashed, so it cannot be swapped between the check and its use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

from openmed_ner.bundle.files import LEXICON, MANIFEST, check_name
from openmed_ner.bundle.values import check_references, one_of, read_list, read_number, read_text
from openmed_ner.errors import BundleError, InputError
from openmed_ner.storage import parse_json, sha256, sha256_file
from openmed_ner.tagging.document_decoding import DocumentChoice, DocumentMode
from openmed_ner.tagging.heads import Head
from openmed_ner.tagging.subwords import SubwordTokenizer
from openmed_ner.tagging.type_merging import TypeMerge
from openmed_ner.terminologies import Lexicon, Matcher
from openmed_ner.text import TagScheme

FORMAT = 1
CARD = "README.md"
TOKENIZER = "tokenizer.json"
MODEL = "model.onnx"
GRAPH = ".onnx"
"""Suffix of graphs."""
RECORD = "run.json"
SCORES = "scores.json"
PARITY = "parity.json"
MAX_JSON = 4 << 20
"""Most bytes of a manifest."""
Kind = Literal["adapter", "full", "runtime"]
Precision = Literal["fp32", "int8", "int8-static"]
"""Number formats of the arithmetic; adapter and full bundles are fp32."""
RUNTIMES = ("onnxruntime", "openvino")
"""Backends for runtime bundles."""


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
        name: name of the adapted encoder.
        sha256: digest of its bundle.
        mode: ``merged``: its adapter is added to the backbone's weights; ``stacked``: it stays an adapter of
            its own, below that of the model.
    """

    name: str
    sha256: str
    mode: Literal["merged", "stacked"]


@dataclass(frozen=True, slots=True)
class Terminology:
    """A terminology whose names are in a lexicon; an empty version is not stated by its authors."""

    name: str
    title: str
    version: str
    licence: str
    home: str


@dataclass(frozen=True, slots=True)
class LexiconReference:
    """The lexicon that a model reads beside the text.

    Attributes:
        sha256: digest of the lexicon's file.
        names: number of its names.
        terminologies: sources of the names.
    """

    sha256: str
    names: int
    terminologies: tuple[Terminology, ...]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Size in bytes and SHA-256 of a file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Description of a bundle: its model, and every file with its digest.

    Attributes:
        name: name of the bundle.
        kind: ``adapter`` (LoRA and heads), ``full`` (all weights) or ``runtime`` (ONNX, needs no torch).
        version: version of the package that wrote it.
        heads: meaning of the model's outputs, in order; empty for an adapted encoder to fine-tune.
        window: most subwords read at once, special ones included.
        overlap: number of subwords that neighbouring windows share.
        backbone: pretrained encoder of the model.
        licence: SPDX identifier for the weights.
        precision: number format of the arithmetic: ``fp32``, ``int8`` or ``int8-static``.
        backend: default backend of a runtime bundle, and the one its certificate is for.
        adaptation: earlier pretraining of the backbone on domain text, if any.
        encoder_layers: numbers, from 0, of the backbone's layers that were kept; all if empty.
        merges: for a type of several heads, the rule that joins their layers of spans; chosen on dev.
        lexicon: lexicon that the model reads, if any.
        document_decoding: document-level decoding of each head, by corpus; chosen on dev, off if missing.
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
    lexicon: LexiconReference | None = None
    document_decoding: Mapping[str, DocumentChoice] = field(default_factory=dict)
    files: Mapping[str, FileEntry] = field(default_factory=dict)

    @property
    def document_modes(self) -> dict[str, DocumentMode]:
        """Modes of document-level decoding, by corpus; heads without one are off."""
        return {corpus: choice.mode for corpus, choice in self.document_decoding.items()}

    def merge_of(self, label: str) -> TypeMerge:
        """Return the rule that joins the span layers of a type: the recorded one, or else by score."""
        return self.merges.get(label) or TypeMerge(self.corpora_of(label))

    def corpora_of(self, label: str) -> tuple[str, ...]:
        """Return the corpora of the heads that know a type."""
        return tuple(head.corpus for head in self.heads if label in head.labels)

    def to_json(self) -> dict[str, Any]:
        """Convert the manifest to a JSON object."""
        heads = [
            {
                "corpus": head.corpus,
                "labels": list(head.labels),
                "scheme": head.scheme.value,
                **({"transitions": [list(row) for row in head.transitions]} if head.transitions else {}),
            }
            for head in self.heads
        ]
        # The key keeps its old name, so that earlier versions read new bundles.
        rest = {
            "layers" if key == "encoder_layers" else key: value
            for key, value in asdict(self).items()
            if key not in ("heads", "files")
        }
        for optional in ("adaptation", "layers", "merges", "lexicon", "document_decoding"):
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
            manifest = cls(
                name=read_text(record["name"]),
                kind=cast(Kind, one_of(get_args(Kind), record["kind"])),
                version=read_text(record["version"]),
                heads=tuple(_read_head(head) for head in record["heads"]),
                window=read_number(record["window"]),
                overlap=read_number(record["overlap"]),
                backbone=BackboneReference(**{key: str(value) for key, value in record["backbone"].items()}),
                licence=read_text(record["licence"]),
                precision=one_of(get_args(Precision), record["precision"]),
                backend=one_of(RUNTIMES, record.get("backend", RUNTIMES[0])),
                adaptation=_read_adaptation(record["adaptation"]) if record.get("adaptation") else None,
                encoder_layers=tuple(map(read_number, record.get("layers", ()))),
                merges={
                    str(label): TypeMerge(**{**merge, "order": read_list(merge["order"])})
                    for label, merge in record.get("merges", {}).items()
                },
                lexicon=_read_lexicon(record["lexicon"]) if record.get("lexicon") else None,
                document_decoding={
                    str(corpus): DocumentChoice(choice["mode"], float(choice["gain"]))
                    for corpus, choice in record.get("document_decoding", {}).items()
                },
                files={
                    str(path): FileEntry(read_number(file["size"]), str(file["sha256"]))
                    for path, file in record["files"].items()
                },
            )
            check_references(manifest)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BundleError(f"the manifest is damaged: {type(error).__name__}: {error}") from error
        return manifest


def _read_head(record: Mapping[str, Any]) -> Head:
    return Head(
        read_text(record["corpus"]),
        read_list(record["labels"]),
        TagScheme(record["scheme"]),
        tuple(tuple(map(float, row)) for row in record.get("transitions", ())),
    )


def _read_adaptation(record: Mapping[str, Any]) -> Adaptation:
    mode = cast(Literal["merged", "stacked"], one_of(("merged", "stacked"), record["mode"]))
    return Adaptation(read_text(record["name"]), read_text(record["sha256"]), mode)


def _read_lexicon(record: Mapping[str, Any]) -> LexiconReference:
    terminologies = (
        Terminology(**{key: str(value) for key, value in source.items()})
        for source in record["terminologies"]
    )
    return LexiconReference(str(record["sha256"]), read_number(record["names"]), tuple(terminologies))


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder whose contents were checked against its manifest.

    Attributes:
        folder: the folder.
        manifest: its manifest.
        kept: contents of checked files, each until it is read, so that it is not read and checked twice.
    """

    folder: Path
    manifest: Manifest
    kept: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    def read(self, name: str) -> bytes:
        """Read a file and check its digest.

        Raises:
            BundleError: the manifest does not list the file, or its size or digest differs.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            raise BundleError(f"{self.folder}: this {self.manifest.kind} bundle has no {name}")
        if (checked := self.kept.pop(name, None)) is not None:
            return checked

        path = self.folder / name
        size = path.stat().st_size
        if size != entry.size:  # before reading: a manifest cannot make us read an endless file
            raise BundleError(f"{path}: {size} bytes, the manifest says {entry.size}")

        content = path.read_bytes()
        digest = sha256(content)
        if digest != entry.sha256:
            raise BundleError(
                f"{path}: SHA-256 is {digest}, the manifest says {entry.sha256}. The file was changed or "
                "damaged; get the bundle again"
            )
        return content

    def read_tokenizer(self) -> SubwordTokenizer:
        """Read the bundle's tokenizer.

        Raises:
            BundleError: there is none, or it cannot be read.
        """
        try:
            content = self.read(TOKENIZER).decode("utf-8")
        except UnicodeDecodeError as error:
            raise BundleError(f"{self.folder}: {TOKENIZER} is not UTF-8") from error
        return SubwordTokenizer.from_json(content)

    def read_matcher(self) -> Matcher | None:
        """Read the bundle's lexicon; ``None`` if it has none.

        Raises:
            BundleError: the lexicon is damaged, or not the one that the manifest names.
        """
        if self.manifest.lexicon is None:
            return None
        content = self.read(LEXICON)  # which compares it with the digest of the list of files
        if self.manifest.files[LEXICON].sha256 != self.manifest.lexicon.sha256:
            raise BundleError(f"{self.folder}: {LEXICON} is not the lexicon that the model was trained with")
        try:
            return Matcher(Lexicon.from_bytes(content, self.folder / LEXICON))
        except InputError as error:
            raise BundleError(str(error)) from error

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON object from a file and check its digest.

        Raises:
            BundleError: as for :meth:`read`, or the file is not a JSON object.
        """
        return parse_json(self.read(name), self.folder / name, error=BundleError)

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
        """Digest of the bundle: that of its manifest, which lists the digests of all other files."""
        return sha256_file(self.folder / MANIFEST)


def read_manifest(content: bytes, folder: Path) -> Manifest:
    """Parse a manifest and check the file names in it.

    Raises:
        BundleError: the manifest is damaged, or lists a file that a bundle may not hold.
    """
    manifest = Manifest.from_json(parse_json(content, folder / MANIFEST, error=BundleError))
    for name in manifest.files:
        check_name(name, folder)
    return manifest
