"""What requests and answers look like, and how a request is read without trusting it.

A request is parsed and checked in one go by pydantic, which refuses unknown fields, numbers that are
none, half surrogate pairs and deep nesting. Refusals name fields and reasons, never what was sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.json_schema import SkipJsonSchema

from openmed_ner.errors import RefusedError
from openmed_ner.inference.attributes import STEPS
from openmed_ner.service.batcher import Options
from openmed_ner.text import Document

Step = Literal["abbreviations", "context"]
Output = Literal["json", "jsonl", "csv", "pubtator", "bioc-json", "bioc-xml", "conll", "html", "brat"]
_Names = Annotated[list[str], Field(min_length=1, max_length=100)]
_MAX_REASONS = 10
_FIELD = re.compile("[A-Za-z_]{1,30}")


class Wanted(BaseModel):
    """What to tag, and how to give it back: the fields that every tagging request has."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    corpora: _Names | SkipJsonSchema[None] = None
    """Heads to use; all if left out."""
    types: _Names | SkipJsonSchema[None] = None
    """Entity types to keep; all if left out. The layers of a type become one, unless corpora are named."""
    threshold: float = Field(default=0.0, ge=0.0, le=1.0, allow_inf_nan=False)
    """Lowest score to keep."""
    add: list[Step] = Field(default=[], max_length=len(STEPS))
    """Attributes to add: the long forms of abbreviations; negation and other context."""
    output: Output = "json"
    """Format of the answer."""

    @property
    def options(self) -> Options:
        """What the tagger is asked for."""
        corpora, types = self.corpora, self.types
        return Options(
            None if corpora is None else tuple(corpora),
            None if types is None else tuple(types),
            self.threshold,
            tuple(self.add),
        )


class TagRequest(Wanted):
    """One text, or several."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    text: str | SkipJsonSchema[None] = None
    """The text to tag; or ``texts``."""
    texts: list[str] | SkipJsonSchema[None] = None
    """Several texts; or ``text``."""
    id: str | SkipJsonSchema[None] = None
    """Name of the text; 0 if left out."""
    ids: list[str] | SkipJsonSchema[None] = None
    """Names of the texts, as many as there are; 0, 1, … if left out."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.text is None) == (self.texts is None):
            raise ValueError("expected either text or texts")
        if (self.text is None and self.id is not None) or (self.texts is None and self.ids is not None):
            raise ValueError("id goes with text, and ids with texts")
        if self.ids is not None and len(self.ids) != len(self.texts or ()):
            raise ValueError("ids and texts differ in number")
        return self

    @property
    def documents(self) -> list[Document]:
        """The texts by name."""
        texts = [self.text] if self.text is not None else self.texts or []
        names = [self.id] if self.id is not None else self.ids or map(str, range(len(texts)))
        return [Document(name, text) for name, text in zip(names, texts, strict=True)]


class FileRequest(Wanted):
    """The fields beside an uploaded file; names are parted by commas."""

    source: str = Field(default="auto", alias="from")
    """Format of the file; told from its name if left out."""

    @classmethod
    def from_fields(cls, fields: dict[str, str]) -> Self:
        """Read the fields of a form; an empty one counts as left out."""
        record: dict[str, Any] = {name: value for name, value in fields.items() if value}
        for name in ("corpora", "types", "add"):
            if name in record:
                record[name] = [part.strip() for part in record[name].split(",")]
        try:
            return cls.model_validate(record)
        except ValidationError as error:
            raise explain(error) from error


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class Mention(_Answer):
    """An entity: characters ``start`` to ``end`` of the text, counted in Unicode code points."""

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
    """The guideline that it follows."""


class TaggedDocument(_Answer):
    """A text with its entities, and which part of it was read."""

    id: str
    """Its name."""
    text: str
    """As it was sent."""
    spans: list[Mention]
    """In the order of the text."""
    coverage: dict[str, Any]
    """Characters, windows, and whether every visible character was read."""


class BundleName(_Answer):
    """Which model did it."""

    name: str
    """Of its bundle."""
    sha256: str | None
    """Of its manifest; for a suite, of all its manifests."""


class Tagged(_Answer):
    """The answer of the default output."""

    documents: list[TaggedDocument]
    """In the order of the texts."""
    bundle: BundleName
    """What tagged them."""


class BioCCollection(_Answer):
    """The answer of the output ``bioc-json``."""

    documents: list[dict[str, Any]]


class HeadInfo(_Answer):
    """An annotation guideline that the model follows."""

    corpus: str
    """Its name."""
    types: list[str]
    """What it marks."""
    scheme: str
    """How the model writes entities as tags."""


class BundleInfo(_Answer):
    """A model."""

    name: str
    """Of its bundle."""
    sha256: str | None
    """Of its manifest; for a suite, of all its manifests."""
    version: str
    """Of the package that wrote it."""
    kind: str
    """adapter, full or runtime."""
    precision: str
    """Of its arithmetic."""
    licence: str
    """SPDX identifier for the weights."""
    backbone: str
    """What it was made from."""
    types: list[str]
    """Every type it finds."""
    heads: list[HeadInfo]
    """Its layers."""


class Bundles(_Answer):
    """The models that this service tags with."""

    bundles: list[BundleInfo]
    """One for each model."""


class State(_Answer):
    """How the service is."""

    status: str
    """alive or ready."""


class Problem(BaseModel):
    """Why a request was refused."""

    code: str
    message: str
    where: list[str]


class ErrorAnswer(BaseModel):
    """The one shape of every refusal."""

    error: Problem


def read_request(body: bytes) -> TagRequest:
    """Read the JSON body of a tagging request.

    Raises:
        RefusedError: it is not JSON, or not such a request.
    """
    try:
        return TagRequest.model_validate_json(body)
    except ValidationError as error:
        raise explain(error) from error


def explain(error: ValidationError) -> RefusedError:
    """Turn pydantic's findings into a refusal that quotes nothing of what was sent."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    reasons = [(_place(each["loc"]), each["msg"]) for each in found[:_MAX_REASONS]]
    message = "; ".join(f"{place}: {reason}" for place, reason in reasons)
    if len(found) > _MAX_REASONS:
        message += f"; and {len(found) - _MAX_REASONS} more"
    code = "invalid_json" if found[0]["type"] == "json_invalid" else "invalid_request"
    return RefusedError(422, code, message, where=[place for place, _ in reasons])


def _place(location: Sequence[int | str]) -> str:
    """A field by its path; a name that is no plain one may be text that was meant as something else."""
    parts = [
        str(part) if isinstance(part, int) or _FIELD.fullmatch(part) else "(another field)"
        for part in location
    ]
    return ".".join(parts) or "body"
