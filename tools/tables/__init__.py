"""The tables of the README and the docs, each a function of the files under results/."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tables import adapting, models, speed, texts

TABLES: Mapping[str, Callable[[], str]] = {
    function.__name__: function
    for function in (
        models.suite,
        models.document,
        models.embedded,
        models.effects,
        models.three_layers,
        models.details,
        models.suite_runs,
        models.searches,
        models.energy,
        models.protocols,
        models.across,
        models.evaluation,
        models.clinic_notes,
        models.few_documents,
        speed.tagging,
        speed.scale,
        speed.scaling,
        speed.service,
        speed.uploads,
        speed.training,
        speed.memory,
        speed.adapters,
        speed.stages,
        speed.estimates,
        texts.tokens,
        texts.corpora,
        texts.overlaps,
        texts.catalog,
        texts.sources,
        texts.passages,
        texts.preparation,
        texts.negation,
        texts.note_style,
        texts.identifiers,
        texts.concepts,
        adapting.encoders,
        adapting.adaptation,
        adapting.gains,
        adapting.pretraining,
    )
}
