"""The four tools: tag a text, link mentions, look up an identifier, and describe the coverage of the model.

Sizes are checked here, so that a refusal says what to do. Errors of the package become errors of the tool.
Any other error is named by its class alone, because its message may quote the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field

from openmed_ner.bundle.record import version
from openmed_ner.corpora.catalog import CATALOG
from openmed_ner.errors import InputError, OpenMedError
from openmed_ner.inference.attributes import IdentifierOptions, add_attributes, available_steps
from openmed_ner.inference.attributes.identifiers import open_linker
from openmed_ner.inference.attributes.options import IDENTIFIERS
from openmed_ner.inference.tagger import Tagger
from openmed_ner.integrations.mcp import answers
from openmed_ner.linking import Linker
from openmed_ner.linking.attributes import IDENTIFIER, PREFERRED_NAME, list_ids, list_names
from openmed_ner.linking.species import read_species
from openmed_ner.tagging.entity_types import BROADER
from openmed_ner.terminologies.store import Store, find_store
from openmed_ner.text import Document, Span

Step = Literal["abbreviations", "context", "identifiers"]
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_NOTES = (
    "The model reads English. What it does not mark may still be there: a missing entity is no evidence.",
    "Scores rank mentions. The precision at a score depends on the texts.",
    "It is not a medical device and must not make decisions about a patient.",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest sizes of a call.

    Attributes:
        characters: characters of a text.
        entities: entities of a result.
        mentions: mentions of a call of ``link``.
        mention_characters: characters of a mention.
    """

    characters: int = 100_000
    entities: int = 2_000
    mentions: int = 200
    mention_characters: int = 500


class Mention(BaseModel):
    """A mention without its text."""

    text: str = Field(description="The mention, such as 'acute renal failure'.")
    type: str = Field(description="Its type, such as Disease, Chemical, Gene or Species.")


def _as_tool(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Turn errors into errors of a tool that quote no text by accident."""

    @wraps(function)
    def call(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        try:
            return function(*arguments, **options)
        except OpenMedError as error:
            raise ToolError(str(error)) from None
        except Exception as error:
            raise ToolError(f"failed with {type(error).__name__}; the server keeps no details") from None

    return call


class Tools:
    """The tools of a server. Calls are answered one at a time."""

    def __init__(
        self,
        tagger: Tagger,
        *,
        terminologies: str | Path | None = None,
        limits: Limits | None = None,
        scores: Mapping[str, float] | None = None,
    ) -> None:
        """Set up the tools.

        Args:
            tagger: the model.
            terminologies: folder of compiled terminologies; that of the environment if ``None``.
            limits: largest sizes of a call.
            scores: F1 on the test split, 0 to 1, by corpus.

        Raises:
            InputError: the folder is named and holds no compiled terminologies.
        """
        self._tagger = tagger
        self._limits = limits or Limits()
        self._scores = scores or {}
        self._lock = Lock()
        self._folder = _find_folder(terminologies)
        available = available_steps()
        self.steps: tuple[str, ...] = tuple(step for step in available if step != IDENTIFIERS)
        if self._folder is not None:
            self.steps += (IDENTIFIERS,)

    @_as_tool
    def tag(
        self,
        text: Annotated[str, Field(description="English biomedical text.")],
        types: Annotated[
            list[str] | None,
            Field(description="Entity types to find; the default ones if left out. See the tool coverage."),
        ] = None,
        add: Annotated[
            list[Step] | None,
            Field(
                description="Steps after tagging: long forms of abbreviations, context such as negation, "
                "identifiers. All that are available if left out; an empty list for none."
            ),
        ] = None,
        threshold: Annotated[float, Field(description="Lowest score of an entity, 0 to 1.")] = 0.0,
        layers: Annotated[
            bool,
            Field(description="If true, every guideline has a layer of its own, and these overlap."),
        ] = False,
        max_entities: Annotated[
            int, Field(description="Most entities to return; the number of further ones is stated.")
        ] = 500,
    ) -> answers.TaggedText:
        """Find diseases, chemicals, genes, species, anatomy and other entities in a biomedical text.

        Every entity has exact offsets, a type and a score, and an identifier where terminologies are set up.
        """
        _check_size(text, self._limits.characters, "text", "Send it in parts, cut between paragraphs")
        if not 1 <= max_entities <= self._limits.entities:
            raise InputError(f"max_entities {max_entities}: expected 1 to {self._limits.entities}")
        steps = self.steps if add is None else self._check_steps(add)

        with self._lock:
            tagged = self._tagger.pipe([text], types=types, threshold=threshold, layers=layers)
            (document,) = add_attributes(tagged, steps, IdentifierOptions(terminologies=self._folder))
        return answers.TaggedText(
            entities=[_describe(document, span) for span in document.spans[:max_entities]],
            omitted=max(len(document.spans) - max_entities, 0),
            complete=bool(document.meta["coverage"]["complete"]),
            model=self._tagger.manifest.name,
            added=list(steps),
        )

    @_as_tool
    def link(
        self,
        mentions: Annotated[list[Mention], Field(description="Mentions with their types.")],
        species: Annotated[
            int | None,
            Field(description="Species of all genes, as a number of the NCBI Taxonomy; human by default."),
        ] = None,
    ) -> answers.LinkedMentions:
        """Link names of diseases, chemicals, genes, species, cells and anatomy to identifiers.

        For names without a text. The tool tag links the entities of a text, and knows its abbreviations.
        """
        if len(mentions) > self._limits.mentions:
            raise InputError(f"{len(mentions)} mentions; the limit is {self._limits.mentions} in one call")
        for mention in mentions:
            _check_size(mention.text, self._limits.mention_characters, "mention", "Send the name alone")
        with self._lock:
            linker = self._open_linker(species)
            if unknown := [each.type for each in mentions if each.type not in linker.types]:
                raise InputError(f"type {unknown[0]!r}: there are names of {', '.join(linker.types)}")
            return answers.LinkedMentions(mentions=[_link(linker, mention) for mention in mentions])

    @_as_tool
    def look_up(
        self,
        identifier: Annotated[
            str, Field(description="Identifier with its prefix, such as MESH:D058186 or NCBIGene:1956.")
        ],
    ) -> answers.Concepts:
        """Look up an identifier: name, type, identifiers in other terminologies, broader concepts."""
        _check_size(identifier, self._limits.mention_characters, "identifier", "Send one identifier")
        with self._lock:
            linker = self._open_linker(None)
            entries = linker.look_up(identifier.strip())
        if not entries:
            raise InputError(
                f"no terminology here has {identifier!r}. An identifier has a prefix, written as in "
                "MESH:D058186, NCBIGene:1956, NCBITaxon:10090, MONDO:0004975, UBERON:0002113 or CL:0000084"
            )
        concepts = [
            answers.Concept(
                id=entry.concept.id,
                name=entry.concept.name,
                type=entry.type,
                other_ids=list(entry.concept.xrefs),
                broader=[answers.Identifier(id=each.id, name=each.name) for each in entry.parents],
            )
            for entry in entries
        ]
        return answers.Concepts(concepts=concepts)

    @_as_tool
    def coverage(self) -> answers.Coverage:
        """Describe what the model can find and link, how good it is, and its limits.

        Call it before relying on the absence of entities, or to learn the names of types.
        """
        manifest = self._tagger.manifest
        with self._lock:
            linked = self._open_linker(None).types if self._folder else ()
        types = self._tagger.types
        return answers.Coverage(
            model=manifest.name,
            licence=manifest.licence,
            version=version(),
            types=[
                answers.EntityType(
                    name=label,
                    default=label in self._tagger.main_types,
                    part_of=BROADER.get(label) if BROADER.get(label) in types else None,
                    linked=label in linked,
                )
                for label in types
            ],
            guidelines=[
                answers.Guideline(
                    corpus=head.corpus,
                    title=CATALOG[head.corpus].title if head.corpus in CATALOG else "",
                    types=list(head.labels),
                    test_f1=round(100 * f1, 2) if (f1 := self._scores.get(head.corpus)) is not None else None,
                )
                for head in manifest.heads
            ],
            steps=list(self.steps),
            terminologies=list(map(_describe_source, self._list_sources())),
            limits=answers.SizeLimits(
                characters=self._limits.characters,
                entities=self._limits.entities,
                mentions=self._limits.mentions,
            ),
            notes=list(_NOTES),
        )

    def _check_steps(self, steps: Sequence[str]) -> tuple[str, ...]:
        for step in steps:
            if step not in self.steps:
                # The step itself says what it lacks, before it reads a document.
                add_attributes((), [step], IdentifierOptions())
                raise InputError(
                    f"the step {step!r} is not available; expected one of {', '.join(self.steps)}"
                )
        return tuple(dict.fromkeys(steps))

    def _open_linker(self, species: int | None) -> Linker:
        return open_linker(self._folder or find_store(None), read_species(species))

    def _list_sources(self) -> list[Mapping[str, Any]]:
        return list(Store.open(self._folder).manifest["sources"]) if self._folder else []


def _find_folder(name: str | Path | None) -> Path | None:
    """Find the folder of terminologies; ``None`` if none is named and the environment has none."""
    try:
        return Store.open(find_store(name)).folder
    except InputError:
        if name is not None:
            raise
        return None


def _check_size(text: str, limit: int, name: str, remedy: str) -> None:
    if len(text) > limit:
        raise InputError(f"the {name} has {len(text):,} characters; the limit is {limit:,}. {remedy}")


def _describe(document: Document, span: Span) -> answers.Entity:
    attributes = dict(span.attributes)
    ids, names = list_ids(span), list_names(span)
    for name in (IDENTIFIER, PREFERRED_NAME):
        attributes.pop(name, None)
    if span.evidence == "document":
        attributes["evidence"] = span.evidence
    return answers.Entity(
        start=span.start,
        end=span.end,
        type=span.label,
        text=document.mention(span),
        score=None if span.score is None else round(span.score, 4),
        guideline=span.corpus,
        identifiers=[
            answers.Identifier(id=identifier, name=name) for identifier, name in zip(ids, names, strict=True)
        ],
        attributes=attributes,
    )


def _link(linker: Linker, mention: Mention) -> answers.LinkedMention:
    link = linker.link(mention.text, mention.type)
    if link is None:
        return answers.LinkedMention(
            mention=mention.text, type=mention.type, identifiers=[], method=None, score=None, candidates=[]
        )
    further = [candidate for candidate in link.candidates if candidate not in link.identifiers]
    return answers.LinkedMention(
        mention=mention.text,
        type=mention.type,
        identifiers=[answers.Identifier(id=each.id, name=each.name) for each in link.identifiers],
        method=link.method,
        score=link.score,
        candidates=[answers.Identifier(id=each.id, name=each.name) for each in further],
    )


def _describe_source(source: Mapping[str, Any]) -> answers.Terminology:
    return answers.Terminology(**{key: str(source.get(key, "")) for key in ("title", "version", "licence")})
