"""What a study found: scores of every encoder, and whether they differ by more than chance.

Seeds are pooled document by document: a document counts once for every seed, for each encoder, so the paired
test and the bootstrap draw whole documents and see the spread between seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from openmed_ner.bundle.manifest import RECORD
from openmed_ner.bundle.record import describe_training, provenance
from openmed_ner.corpora import load_split
from openmed_ner.evaluation import Scores, score_documents, total
from openmed_ner.evaluation.scores import bootstrap_f1, mean_and_deviation
from openmed_ner.evaluation.significance import paired_randomisation
from openmed_ner.formats import read_documents
from openmed_ner.study.plan import Run, Study, iter_runs, place_of
from openmed_ner.study.reproduce import SPLITS, open_encoder, open_run


def summarise_study(study: Study, folder: Path) -> dict[str, Any]:
    """Collect what is done of a study.

    Returns:
        ``encoders``: what each adaptation took and did to perplexity; ``runs``: each model trained;
        ``scores``: per corpus, split and encoder, over the seeds; ``comparisons``: each pair of encoders.
    """
    done = [Done(run, *found) for run in iter_runs(study) if (found := open_run(folder, run))]
    encoders = {
        name: bundle
        for name in (*study.adaptations, *study.stages)
        if (bundle := open_encoder(folder / place_of(study, name)))
    }
    scores, comparisons = [], []
    for model, settings in study.models.items():
        for corpus in settings.corpora:
            for split in SPLITS:
                pooled = {}
                for encoder in (*study.encoders, *settings.stages):
                    own = [each for each in done if (each.run.model, each.run.encoder) == (model, encoder)]
                    if own:
                        row, own_scores = _score(folder, own, corpus, split)
                        scores.append({"model": model, "encoder": encoder, **row})
                        if encoder in study.encoders:  # a stage has one seed, and is not compared
                            pooled[encoder] = own_scores
                comparisons += _compare(model, corpus, split, pooled)
    return {
        "title": study.title,
        **provenance(),
        "encoders": {name: _describe_encoder(bundle.read_json(RECORD)) for name, bundle in encoders.items()},
        "runs": [_describe_run(each) for each in done],
        "scores": scores,
        "comparisons": comparisons,
    }


_KEPT = ("corpus", "split", "protocol", "documents", "micro", "seen", "unseen", "coverage_complete")


@dataclass(frozen=True, slots=True)
class Done:
    """A model of a study that is done: what it is, its run record and its scores."""

    run: Run
    record: Mapping[str, Any]
    scores: Mapping[str, Any]


def _score(
    folder: Path, runs: Sequence[Done], corpus: str, split: str
) -> tuple[dict[str, Any], list[Scores]]:
    """The scores of one encoder on a corpus: a row, and the documents' scores summed over the seeds."""
    gold = load_split(corpus, split).documents
    by_seed = []
    for each in runs:
        predicted = list(read_documents(folder / each.run.name / f"{split}-{corpus}.jsonl"))
        by_seed.append(score_documents(gold, predicted))
    pooled = [total(each) for each in zip(*by_seed, strict=True)]
    f1 = [total(each).micro.f1 for each in by_seed]
    mean, deviation = mean_and_deviation(f1)
    wanted = corpus, split, "mention"
    results = [
        next(
            row for row in each.scores["results"] if (row["corpus"], row["split"], row["protocol"]) == wanted
        )
        for each in runs
    ]
    row = {
        "corpus": corpus,
        "split": split,
        "protocol": "mention",
        "documents": len(gold),
        "seeds": [each.run.recipe.seed for each in runs],
        "f1": f1,
        "mean": mean,
        "deviation": deviation,
        "ci95": list(bootstrap_f1(pooled)),
        "with_alternatives": [
            row["with_alternatives"]["f1"] for row in results if "with_alternatives" in row
        ],
    }
    return row, pooled


def _compare(
    model: str, corpus: str, split: str, pooled: Mapping[str, Sequence[Scores]]
) -> list[dict[str, Any]]:
    """Every pair of encoders; the later one first, so that a gain is positive."""
    rows = []
    for second, first in combinations(pooled, 2):
        comparison = paired_randomisation(pooled[first], pooled[second])
        names = {"model": model, "corpus": corpus, "split": split, "first": first, "second": second}
        rows.append({**names, **asdict(comparison), "difference": comparison.difference})
    return rows


def _describe_encoder(record: Mapping[str, Any]) -> dict[str, Any]:
    history = record["history"]
    kept = ("recipe", "commit", "parameters", "held_out", "energy", "host")
    return {
        **{key: record[key] for key in kept},
        "subwords": history["subwords"],
        "seconds": history["seconds"],
        "perplexity": [scores["perplexity"] for scores in history["scores"]],
        "head": {key: record["head"]["history"][key] for key in ("subwords", "seconds")}
        if "head" in record
        else None,
    }


def _describe_run(done: Done) -> dict[str, Any]:
    run = done.run
    return {
        "model": run.model,
        "encoder": run.encoder,
        "seed": run.recipe.seed,
        "sha256": done.scores["sha256"],
        **describe_training(done.record),
        "results": [{key: row[key] for key in _KEPT if key in row} for row in done.scores["results"]],
    }
