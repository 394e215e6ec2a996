"""Results of a study: scores of every encoder, the best one on dev, and tests of the differences.

Seeds are pooled document by document: each document counts once per seed for each encoder. The paired test
and the bootstrap draw whole documents, so they include the spread between seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from openmed_ner.bundle.manifest import RECORD
from openmed_ner.bundle.record import describe_training, provenance
from openmed_ner.evaluation import Scores, score_documents, total
from openmed_ner.evaluation.scores import bootstrap_f1, mean_and_deviation
from openmed_ner.evaluation.significance import paired_randomisation
from openmed_ner.formats import read_documents
from openmed_ner.storage import read_json
from openmed_ner.training.search import RESULT
from openmed_ner.training.study.plan import PlannedRun, Study, StudyEncoder, iter_runs
from openmed_ner.training.study.reproduce import open_encoder, open_run
from openmed_ner.training.study.sources import Sources

ScoresBySeed = dict[int, Sequence[Scores]]
"""Scores of every document, by seed."""
_RESULT_KEYS = (
    "corpus", "split", "protocol", "documents", "micro", "seen", "unseen", "coverage_complete"
)  # fmt: skip
_ENCODER_KEYS = "recipe", "commit", "parameters", "held_out", "energy", "host"
_LOOSER_PROTOCOLS = "word", "subword"


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run of a study that is done.

    Attributes:
        run: its plan.
        record: its run record.
        scores: its scores, as written to the study's folder.
    """

    run: PlannedRun
    record: Mapping[str, Any]
    scores: Mapping[str, Any]

    def result(self, corpus: str, split: str, protocol: str) -> Mapping[str, Any]:
        """The scores on a corpus's split by a protocol."""
        key = corpus, split, protocol
        rows: Sequence[Mapping[str, Any]] = self.scores["results"]
        return next(row for row in rows if (row["corpus"], row["split"], row["protocol"]) == key)


def summarise_study(study: Study, folder: Path) -> dict[str, Any]:
    """Collect the results of a study, finished or not.

    Args:
        study: the study.
        folder: its output folder.

    Returns:
        ``encoders``: cost and perplexity of each adaptation; ``runs``: each trained model, with the trials
        of its search; ``scores``: per corpus, split and encoder, over the seeds; ``best``: per model and
        corpus, the encoder selected on dev; ``comparisons``: pairs of encoders.
    """
    sources = Sources(study.corpora)
    finished = [FinishedRun(run, *files) for run in iter_runs(study) if (files := open_run(folder, run))]
    encoders = {
        encoder.name: _describe_encoder(bundle.read_json(RECORD))
        for encoder in (*study.encoders, *study.checkpoint_encoders)
        if not encoder.is_released and (bundle := open_encoder(folder / encoder.bundle))
    }

    rows = []
    comparisons: list[dict[str, Any]] = []
    for model, spec in study.models.items():
        for corpus in study.corpora_of(spec):
            for split in ("dev", "test"):
                by_encoder = {}
                for encoder in (*study.encoders, *study.checkpoint_encoders):
                    runs = [
                        entry
                        for entry in finished
                        if (entry.run.model, entry.run.encoder) == (model, encoder)
                    ]
                    # all seeds of a model have the same settings, so also the same splits
                    if runs and corpus in runs[0].run.scored[split]:
                        row, by_seed = _score(folder, runs, corpus, sources, split)
                        names = {"model": model, "encoder": encoder.name}
                        rows.append({**names, **_describe_start(runs[0].run), **row})
                        by_encoder[encoder] = by_seed
                names = {"model": model, "corpus": corpus, "split": split}
                comparisons += ({**names, **row} for row in _compare(study.encoders, by_encoder))

    return {
        "title": study.title,
        **provenance(),
        "encoders": encoders,
        "runs": [_describe_run(entry, folder) for entry in finished],
        "scores": rows,
        "best": list(_select_best(rows, [encoder.name for encoder in study.encoders])),
        "comparisons": comparisons,
    }


def _describe_start(run: PlannedRun) -> dict[str, Any]:
    encoder = run.encoder
    return {"backbone": encoder.backbone, "adaptation": encoder.adaptation, "method": run.recipe.method}


def _score(
    folder: Path, runs: Sequence[FinishedRun], corpus: str, sources: Sources, split: str
) -> tuple[dict[str, Any], ScoresBySeed]:
    """The scores of one encoder on a corpus: a row, and the documents' scores of each seed."""
    gold = sources.documents(corpus, split)
    by_seed: ScoresBySeed = {}
    for entry in runs:
        predicted = list(read_documents(folder / entry.run.name / f"{split}-{corpus}.jsonl"))
        by_seed[entry.run.recipe.seed] = score_documents(gold, predicted)

    f1 = [total(scores).micro.f1 for scores in by_seed.values()]
    mean, deviation = mean_and_deviation(f1)
    mentions = [entry.result(corpus, split, "mention") for entry in runs]
    row = {
        "corpus": corpus,
        "split": split,
        "protocol": "mention",
        "documents": len(gold),
        "seeds": list(by_seed),
        "f1": f1,
        "mean": mean,
        "deviation": deviation,
        "ci95": list(bootstrap_f1(_pool(by_seed, by_seed))),
        "with_alternatives": [
            result["with_alternatives"]["f1"] for result in mentions if "with_alternatives" in result
        ],
    }

    if split == "test":
        for protocol in _LOOSER_PROTOCOLS:
            values = [entry.result(corpus, split, protocol)["micro"]["f1"] for entry in runs]
            row[protocol] = mean_and_deviation(values)[0]
    return row, by_seed


def _pool(by_seed: ScoresBySeed, seeds: Iterable[int]) -> list[Scores]:
    """The documents' scores summed over some seeds."""
    return [total(scores) for scores in zip(*(by_seed[seed] for seed in seeds), strict=True)]


def _compare(
    encoders: Sequence[StudyEncoder], by_encoder: Mapping[StudyEncoder, ScoresBySeed]
) -> Iterator[dict[str, Any]]:
    """Compare encoders of one backbone, and backbones as released, on the seeds that both have.

    The later encoder is the first of a pair, so that a gain is positive.
    """
    scored = [encoder for encoder in encoders if encoder in by_encoder]
    for second, first in combinations(scored, 2):
        seeds = [seed for seed in by_encoder[first] if seed in by_encoder[second]]
        if seeds and (first.backbone == second.backbone or (first.is_released and second.is_released)):
            pooled = (_pool(by_encoder[encoder], seeds) for encoder in (first, second))
            comparison = paired_randomisation(*pooled)
            names = {"first": first.name, "second": second.name, "seeds": seeds}
            yield {**names, **asdict(comparison), "difference": comparison.difference}


def _select_best(rows: Sequence[Mapping[str, Any]], encoders: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The test row of the encoder with the best mean on dev, for each model and corpus."""
    scores = {
        (row["model"], row["corpus"], row["split"], row["encoder"]): row
        for row in rows
        if row["encoder"] in encoders  # no checkpoints of adaptations
    }
    for model, corpus in dict.fromkeys((row["model"], row["corpus"]) for row in rows):
        keys = [(model, corpus, "dev", name) for name in encoders]
        dev = {key[-1]: scores[key] for key in keys if key in scores}
        if dev:
            best = max(dev, key=lambda name: dev[name]["mean"])
            if (test := scores.get((model, corpus, "test", best))) is not None:
                yield {**test, "dev": dev[best]["mean"], "compared": list(dev)}


def _describe_encoder(record: Mapping[str, Any]) -> dict[str, Any]:
    history = record["history"]
    return {
        **{key: record[key] for key in _ENCODER_KEYS},
        "subwords": history["subwords"],
        "seconds": history["seconds"],
        "perplexity": [scores["perplexity"] for scores in history["scores"]],
        "head": {key: record["head"]["history"][key] for key in ("subwords", "seconds")}
        if "head" in record
        else None,
    }


def _describe_run(entry: FinishedRun, folder: Path) -> dict[str, Any]:
    run = entry.run
    trials = read_json(folder / run.name / RESULT)["trials"] if run.searched else []
    return {
        "model": run.model,
        "encoder": run.encoder.name,
        "seed": run.recipe.seed,
        "searched": run.searched,
        **({"trials": trials} if trials else {}),
        "sha256": entry.scores["sha256"],
        **describe_training(entry.record),
        "results": [{key: row[key] for key in _RESULT_KEYS if key in row} for row in entry.scores["results"]],
    }
