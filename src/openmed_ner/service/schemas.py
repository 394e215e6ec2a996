"""Schemas of requests and responses, and the reading of untrusted requests.

pydantic parses and checks a request at once. It refuses unknown fields, wrong types, half surrogate pairs
and deep nesting. Refusals name fields and reasons, and quote nothing of the request.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema

from openmed_ner.errors import InputError, RefusedError, suggest
from openmed_ner.formats import TEXTLESS
from openmed_ner.inference.attributes import STEPS, IdentifierOptions
from openmed_ner.linking.species import read_species
from openmed_ner.service.batcher import PipeOptions
from openmed_ner.service.outputs import DEFAULT_OUTPUT, MEDIA_TYPES
from openmed_ner.terminologies.store import list_stores
from openmed_ner.text import Document

if TYPE_CHECKING:  # a type checker accepts no computed literals
    from pydantic_core import ErrorDetails

    AttributeStep = str
    Output = str
else:
    AttributeStep = Literal[tuple(STEPS)]
    Output = Literal[tuple(MEDIA_TYPES)]
_Names = Annotated[list[str], Field(min_length=1, max_length=100, fail_fast=True)]
_Texts = Annotated[list[str], Field(fail_fast=True)]
_MAX_KEYS = 100_000
"""Most keys in a body, which would each become an error; a text may quote some."""
_MAX_REASONS = 10
"""Maximum number of reasons in a refusal."""
_FIELD = re.compile("[A-Za-z_]{1,30}")


class TagOptions(BaseModel):
    """Fields of every tagging request: options of the tagger, and the format of the response."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    corpora: _Names | SkipJsonSchema[None] = None
    """Heads to use, each with a layer of its own. By default all heads, with one layer for each type."""
    types: _Names | SkipJsonSchema[None] = None
    """Entity types to keep; by default the main types, or all with ``corpora`` or ``layers``."""
    layers: bool = False
    """Keep a layer for each head, instead of one for each type."""
    threshold: float = Field(default=0.0, ge=0.0, le=1.0, allow_inf_nan=False)
    """Lowest score to keep."""
    document_decoding: bool = True
    """Let abbreviations and repeated names decide mentions in the whole document, if the model does so."""
    add: list[AttributeStep] = Field(default=[], max_length=len(STEPS))
    """Attributes to add: the long forms of abbreviations, negation and other context, and identifiers if the
    service has terminologies."""
    species: Annotated[int, Field(ge=1, lt=1 << 31)] | SkipJsonSchema[None] = None
    """Species of all genes, as a number of the NCBI Taxonomy; the text decides by default."""
    terminologies: str | SkipJsonSchema[None] = None
    """Folder of compiled terminologies of the service to link to; needed if it has several."""
    link: _Names | SkipJsonSchema[None] = None
    """Vocabularies of the service whose identifiers come first, by the names of their folders."""
    match: _Names | SkipJsonSchema[None] = None
    """Vocabularies of the service whose names become layers of their own."""
    nested: bool = False
    """With ``match``, names within longer ones count, too."""
    under: _Names | SkipJsonSchema[None] = None
    """Identifiers of concepts. Only mentions of these and of concepts below them are kept."""
    output: Output = DEFAULT_OUTPUT
    """Format of the response."""
    concepts: bool = False
    """Add ``concepts`` to the output ``json``: those of the identifiers, and all concepts above them."""
    offsets: Literal["characters", "utf16"] = "characters"
    """Unit of offsets in the output ``json``: Unicode code points, or UTF-16 units as in JavaScript."""
    return_text: bool = True
    """If false, texts are left out. For the outputs ``json``, ``jsonl``, ``csv`` and ``tsv``."""

    @model_validator(mode="after")
    def _fit_output(self) -> Self:
        if self.output == DEFAULT_OUTPUT:
            return self
        if self.offsets != "characters" or self.concepts:
            raise ValueError("concepts and offsets are for the output json")
        if not self.return_text and self.output not in TEXTLESS:
            raise ValueError(f"return_text is for the outputs {', '.join((DEFAULT_OUTPUT, *TEXTLESS))}")
        return self

    @model_validator(mode="after")
    def _fit_identifiers(self) -> Self:
        try:
            read_species(self.species)
        except InputError as error:
            raise ValueError(str(error)) from error
        if self.nested and not self.match:
            raise ValueError("nested is for match")
        return self

    @property
    def identifier_options(self) -> IdentifierOptions:
        """Terminologies and vocabularies of the service.

        Raises:
            RefusedError: the service has no folder of a name.
        """
        # Names of folders that the service has, so that no request reads others.
        folders = {folder.name: folder for folder in list_stores()}
        chosen = {
            "terminologies": [self.terminologies or ""],
            "link": self.link or [],
            "match": self.match or [],
        }
        for place, names in chosen.items():
            if not folders.keys() >= set(filter(None, names)):
                message = f"{place}: this service has the vocabularies {', '.join(folders) or '(none)'}"
                raise RefusedError(422, "invalid_request", message, places=[place])
        terminologies, link, match = (
            tuple(folders[name] for name in names if name) for names in chosen.values()
        )
        return IdentifierOptions(
            terminologies[0] if terminologies else None,
            link,
            match,
            self.nested,
            tuple(self.under or ()),
            self.species,
        )

    @property
    def pipe_options(self) -> PipeOptions:
        """Options of the tagger."""
        corpora, types = self.corpora, self.types
        return PipeOptions(
            None if corpora is None else tuple(corpora),
            None if types is None else tuple(types),
            self.layers,
            self.threshold,
            self.document_decoding,
            tuple(self.add),
            self.identifier_options,
        )


class TagRequest(TagOptions):
    """One text, or several."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    text: str | SkipJsonSchema[None] = None
    """The text to tag; or ``texts``."""
    texts: _Texts | SkipJsonSchema[None] = None
    """Several texts; or ``text``."""
    id: str | SkipJsonSchema[None] = None
    """Name of the text; 0 by default."""
    ids: _Texts | SkipJsonSchema[None] = None
    """Names of the texts, one for each; 0, 1, … by default."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.text is None) == (self.texts is None):
            raise ValueError("expected either text or texts")
        if (self.text is None and self.id is not None) or (self.texts is None and self.ids is not None):
            raise ValueError("expected id with text, or ids with texts")
        if self.ids is not None and len(self.ids) != len(self.texts or ()):
            raise ValueError("ids and texts differ in number")
        return self

    @property
    def n_texts(self) -> int:
        """Number of texts."""
        return 1 if self.texts is None else len(self.texts)

    @property
    def documents(self) -> list[Document]:
        """The texts, each with its name."""
        texts = [self.text] if self.text is not None else self.texts or []
        names = [self.id] if self.id is not None else self.ids or map(str, range(len(texts)))
        return [Document(name, text) for name, text in zip(names, texts, strict=True)]


class FileRequest(TagOptions):
    """The fields beside an uploaded file; names are separated by commas."""

    source: str = Field(default="auto", alias="from")
    """Format of the file; by default inferred from its name."""

    @classmethod
    def from_fields(cls, fields: dict[str, str]) -> Self:
        """Read the fields of a form; an empty field takes its default."""
        record: dict[str, Any] = {name: value for name, value in fields.items() if value}
        for name in ("corpora", "types", "add", "link", "match", "under"):
            if name in record:
                record[name] = [part.strip() for part in record[name].split(",")]
        try:
            return cls.model_validate(record)
        except ValidationError as error:
            raise explain(error) from error


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class Mention(_Answer):
    """An entity: ``start`` to ``end`` of the text, counted in the unit of ``offsets``."""

    start: int
    """First character."""
    end: int
    """One past the last character."""
    text: str
    """The mention."""
    label: str
    """Entity type."""
    score: float | None
    """Confidence, 0 to 1."""
    corpus: str | None
    """Corpus whose annotation guideline it follows."""
    evidence: Literal["document"] | SkipJsonSchema[None] = None
    """``document`` if other places of the text decided it; missing if its own place did."""


class TaggedDocument(_Answer):
    """A text with its entities, and the part of it that was read."""

    id: str
    """Name of the text."""
    text: str | SkipJsonSchema[None] = None
    """The text as it was sent; missing if ``return_text`` is false."""
    spans: list[Mention]
    """Entities, in the order of the text."""
    coverage: dict[str, Any]
    """Number of characters and windows; ``complete`` if every visible character was read."""


class BundleName(_Answer):
    """The model that tagged the texts."""

    name: str
    """Name of the bundle."""
    sha256: str | None
    """Digest of the manifest; of a suite, digest of all its manifests."""


class ConceptAnswer(_Answer):
    """A concept of a terminology."""

    name: str
    """Preferred name."""
    parents: list[str]
    """Identifiers of the concepts directly above it."""


class Tagged(_Answer):
    """The response of the default output."""

    documents: list[TaggedDocument]
    """Documents, in the order of the texts."""
    bundle: BundleName
    """The model that tagged them."""
    hint: str | SkipJsonSchema[None] = None
    """What to know about the texts, such as that one of the first reads like a clinic note."""
    concepts: dict[str, ConceptAnswer] | SkipJsonSchema[None] = None
    """On request, the concepts of the identifiers and all concepts above them, by identifier."""


class BioCCollection(_Answer):
    """The response of the output ``bioc-json``."""

    documents: list[dict[str, Any]]


class HeadInfo(_Answer):
    """An annotation guideline that the model follows."""

    corpus: str
    """Name of the corpus."""
    title: str
    """Title that its authors gave it, empty if it is not in the catalog."""
    types: list[str]
    """Entity types that it annotates."""
    scheme: str
    """Tag scheme of the head."""


class BundleInfo(_Answer):
    """A model."""

    name: str
    """Name of the bundle."""
    sha256: str | None
    """Digest of the manifest; of a suite, digest of all its manifests."""
    version: str
    """Version of the package that wrote it."""
    kind: str
    """Kind of bundle: adapter, full or runtime."""
    precision: str
    """Precision of its arithmetic."""
    licence: str
    """SPDX identifier for the weights."""
    backbone: str
    """Name of its pretrained encoder."""
    types: list[str]
    """Entity types that it finds."""
    main_types: list[str]
    """Entity types that it returns by default."""
    attributes: list[str]
    """Steps that ``add`` can name on this service."""
    heads: list[HeadInfo]
    """Its heads, one per annotation guideline."""


class Bundles(_Answer):
    """The models of this service."""

    bundles: list[BundleInfo]
    """One entry per model."""


class State(_Answer):
    """State of the service."""

    status: str
    """alive or ready."""


class Problem(BaseModel):
    """Reason for a refusal."""

    code: str
    message: str
    where: list[str]


class ErrorAnswer(BaseModel):
    """The one shape of every refusal."""

    error: Problem


def read_request(body: bytes) -> TagRequest:
    """Read the JSON body of a tagging request.

    Raises:
        RefusedError: the body is not valid JSON, or not a valid request.
    """
    if body.count(b'":') > _MAX_KEYS:
        raise RefusedError(422, "invalid_request", f"the body has more than {_MAX_KEYS} keys")
    try:
        return TagRequest.model_validate_json(body)
    except ValidationError as error:
        raise explain(error) from error


def explain(error: ValidationError) -> RefusedError:
    """Turn pydantic's errors into a refusal that quotes nothing of the request."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    # A field that may be missing is reported twice: as what it should be, and as null.
    problems = [problem for problem in problems if problem["type"] != "none_required"] or problems
    reasons = [(_place(problem["loc"]), _reason(problem)) for problem in problems[:_MAX_REASONS]]
    message = "; ".join(f"{place}: {reason}" for place, reason in reasons)
    if len(problems) > _MAX_REASONS:
        message += f"; and {len(problems) - _MAX_REASONS} more"
    code = "invalid_json" if problems[0]["type"] == "json_invalid" else "invalid_request"
    return RefusedError(422, code, message, places=[place for place, _ in reasons])


def _place(location: Sequence[int | str]) -> str:
    """Write the path of a field; a name that is not plain may be misplaced text, and is not quoted.

    Fields are not nested, so further names in a location are those of pydantic's types.
    """
    parts = [
        str(part) if isinstance(part, int) or _FIELD.fullmatch(part) else "(another field)"
        for index, part in enumerate(location)
        if index == 0 or isinstance(part, int)
    ]
    return ".".join(parts) or "body"


def _reason(problem: ErrorDetails) -> str:
    """Say what was expected."""
    kind, location = problem["type"], problem["loc"]
    if kind == "extra_forbidden" and location and isinstance(location[0], str):
        return f"unknown field{suggest(location[0], {**TagRequest.model_fields, **FileRequest.model_fields})}"
    if kind == "list_type":
        return 'expected a list, such as ["Chemical"]' if location[0] == "types" else "expected a list"
    return "expected a string" if kind == "string_type" else problem["msg"]
