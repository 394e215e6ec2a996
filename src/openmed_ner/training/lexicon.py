"""The lexicon of a training run, from a folder of compiled terminologies or from the run's start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openmed_ner.bundle import Bundle
from openmed_ner.bundle.files import LEXICON
from openmed_ner.bundle.manifest import RECORD, LexiconReference, Terminology
from openmed_ner.storage import sha256
from openmed_ner.terminologies import Matcher, ShortForm, open_lexicon, read_short_forms
from openmed_ner.terminologies.store import find_store
from openmed_ner.training.config import Recipe


@dataclass(frozen=True, slots=True)
class TrainingLexicon:
    """A lexicon with its origin.

    Attributes:
        content: contents of its file.
        reference: its digest and sources, for the manifest of a bundle.
        record: settings and sources of its compilation, for the record of a run.
        matcher: finds its names.
        short_forms: short forms of its names; none if the lexicon is that of a start.
    """

    content: bytes
    reference: LexiconReference
    record: Mapping[str, Any]
    matcher: Matcher
    short_forms: tuple[ShortForm, ...] = ()


def open_training_lexicon(recipe: Recipe, start: Bundle | None) -> TrainingLexicon | None:
    """Open the lexicon that a recipe names, or else that of the start; ``None`` if there is none.

    Raises:
        InputError: the folder holds no compiled terminologies, or damaged ones.
        BundleError: the lexicon of the start is damaged.
    """
    if recipe.lexicon.folder:
        folder = find_store(recipe.lexicon.folder)
        lexicon, manifest = open_lexicon(folder)
        content = lexicon.to_bytes()
        sources = manifest["sources"]
        terminologies = tuple(
            Terminology(**{key: source[key] for key in Terminology.__slots__}) for source in sources
        )
        reference = LexiconReference(sha256(content), len(lexicon), terminologies)
        record = {key: manifest[key] for key in ("sources", "texts", "precision", "types")}
        return TrainingLexicon(content, reference, record, Matcher(lexicon), tuple(read_short_forms(folder)))

    if start is None or start.manifest.lexicon is None:
        return None
    matcher = start.read_matcher()
    assert matcher is not None
    record = start.read_json(RECORD).get("lexicon", {})
    return TrainingLexicon(start.read(LEXICON), start.manifest.lexicon, record, matcher)
