"""Results of the tools. Clients get their JSON schemas, with the descriptions below."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Identifier(_Answer):
    """A concept of a terminology."""

    id: str
    """Identifier with the prefix of its terminology, such as MESH:D003920."""
    name: str
    """Preferred name, empty if it is not known."""


class Entity(_Answer):
    """A mention of an entity."""

    start: int
    """First character of the mention, counted in Unicode code points from 0."""
    end: int
    """One past the last character."""
    type: str
    """Entity type."""
    text: str
    """The mention as it stands in the text."""
    score: float | None
    """Confidence of the model, 0 to 1. It ranks mentions, and is no probability of being right."""
    guideline: str | None
    """Corpus whose annotation guideline the mention follows."""
    identifiers: list[Identifier]
    """Concepts of the mention: several for an enumeration, none if it is not linked."""
    attributes: dict[str, str | bool]
    """Context (negated, historical, hypothetical, family), long and short form, way and score of linking."""


class TaggedText(_Answer):
    """The entities of a text, in its order."""

    entities: list[Entity]
    """Mentions, in the order of the text."""
    omitted: int
    """Number of further entities, beyond the limit of the call."""
    complete: bool
    """True if every visible character was read."""
    model: str
    """Name of the model."""
    added: list[str]
    """Steps after tagging that were applied."""


class LinkedMention(_Answer):
    """Concepts of a mention that was given without a text."""

    mention: str
    """The mention."""
    type: str
    """Its type."""
    identifiers: list[Identifier]
    """The concept, or the concepts of an enumeration; none if nothing is certain enough."""
    method: str | None
    """Way of finding them: learnt, exact, parts or near (a similar name)."""
    score: float | None
    """Similarity of mention and name, 0 to 1."""
    candidates: list[Identifier]
    """Further concepts that the mention may mean, the most likely first."""


class LinkedMentions(_Answer):
    """Concepts of mentions, in their order."""

    mentions: list[LinkedMention]
    """One entry per mention."""


class Concept(_Answer):
    """The concept of an identifier, from the terminologies."""

    id: str
    """Identifier of the concept, which may differ from the one that was asked for."""
    name: str
    """Preferred name."""
    type: str
    """Type of the concept."""
    other_ids: list[str]
    """Identifiers of the same concept in other terminologies."""
    broader: list[Identifier]
    """Concepts directly above it; none where the terminology has no hierarchy."""


class Concepts(_Answer):
    """The concepts with an identifier: one per type."""

    concepts: list[Concept]
    """One entry per type of the concept."""


class EntityType(_Answer):
    """An entity type of the model."""

    name: str
    """Name of the type."""
    default: bool
    """True if it is returned unless types are named."""
    part_of: str | None
    """Type that includes it, if the model has one."""
    linked: bool
    """True if its mentions can get identifiers here."""


class Guideline(_Answer):
    """An annotation guideline that the model follows."""

    corpus: str
    """Name of its corpus."""
    title: str
    """Title that the authors of the corpus gave it."""
    types: list[str]
    """Entity types that it annotates."""
    test_f1: float | None
    """F1 of strict mentions on the test split, 0 to 100; missing if it was not measured."""


class Terminology(_Answer):
    """A terminology that mentions are linked to."""

    title: str
    """Title."""
    version: str
    """Version, empty if its authors state none."""
    licence: str
    """Licence of its names and identifiers."""


class SizeLimits(_Answer):
    """Largest sizes of a call."""

    characters: int
    """Characters of a text."""
    entities: int
    """Entities of a result."""
    mentions: int
    """Mentions of a call of link."""


class Coverage(_Answer):
    """The types that the model finds, the terminologies it links to, and its limits."""

    model: str
    """Name of the model."""
    licence: str
    """SPDX identifier of the licence of its weights."""
    version: str
    """Version of this package."""
    types: list[EntityType]
    """Entity types. Everything else is not found."""
    guidelines: list[Guideline]
    """Annotation guidelines of the model."""
    steps: list[str]
    """Steps after tagging that are available here."""
    terminologies: list[Terminology]
    """Terminologies of the identifiers; none if no folder of them is set up."""
    limits: SizeLimits
    """Largest sizes of a call. Longer texts have to be sent in parts."""
    notes: list[str]
    """Limits of any result."""
