"""One bundle with the mean of the weights of several (a model soup; Wortsman et al., 2022, arXiv 2203.05482).

Models that were trained further from common weights, by other data or with another seed, are often better
together than each alone, and the mean costs nothing when tagging.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from openmed_ner.bundle import Bundle, open_bundle
from openmed_ner.bundle.files import LEXICON
from openmed_ner.bundle.manifest import RECORD
from openmed_ner.bundle.record import version
from openmed_ner.errors import BundleError, InputError, RunError
from openmed_ner.model.bundles import make_reader, save_model
from openmed_ner.training.engine.session import write_bundle
from openmed_ner.training.finetune import describe_trained
from openmed_ner.training.warm_start import average, open_trained


def average_bundles(sources: Sequence[Bundle], target: Path, *, name: str | None = None) -> Bundle:
    """Write a bundle with the mean of the weights of full bundles.

    The record of the new bundle is that of the first source, with its digest (``first``) and the others with
    their shares of the mean (``averaged``). So a mean cannot be averaged again: name the bundles that it was
    made from.

    Args:
        sources: at least two full bundles with the same heads, layers and lexicon. A bundle that is named
            twice counts twice.
        target: folder of the new bundle; must not exist.
        name: name of the new bundle; that of the folder if ``None``.

    Raises:
        InputError: there are fewer than two bundles, or one is a mean already.
        BundleError: a bundle is not a full one.
        RecipeError: the bundles differ in backbone, heads, layers or lexicon.
        RunError: the target exists.
    """
    if len(sources) < 2:
        raise InputError("expected at least two bundles to average")
    for source in sources:
        if source.manifest.kind != "full":
            raise BundleError(
                f"{source.folder} is of the kind {source.manifest.kind}: only full bundles, whose recipe has "
                "method = full, can be averaged"
            )
        if "averaged" in source.read_json(RECORD):
            raise InputError(f"{source.folder} is a mean already: name the bundles that it was made from")
    if target.exists():
        raise RunError(f"{target} already exists; choose another folder, or remove it")

    first, *others = (open_trained(str(source.folder)) for source in sources)
    model = average(first, others).model
    first_digest, counts = sources[0].sha256, Counter(source.sha256 for source in sources)
    distinct = {source.sha256: source for source in sources if source.sha256 != first_digest}
    record = {
        **sources[0].read_json(RECORD),
        "first": first_digest,
        "averaged": [
            {**describe_trained(source), "share": counts[digest] / len(sources)}
            for digest, source in distinct.items()
        ],
    }
    manifest = replace(sources[0].manifest, name=name or target.resolve().name, version=version(), files={})

    def save(folder: Path) -> None:
        save_model(model, folder, name=manifest.name, backbone=manifest.backbone)
        if manifest.lexicon is not None:
            (folder / LEXICON).write_bytes(sources[0].read(LEXICON))

    write_bundle(target, manifest, record, save, make_reader(sources[0]).tokenizer)
    return open_bundle(target)
