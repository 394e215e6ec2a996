"""What a study found: scores of every encoder, which is best on dev, and whether they differ beyond chance.

Seeds are pooled document by document: a document counts once for every seed, for each encoder, so the paired
test and the bootstrap draw whole documents and see the spread between seeds.
"""

from __future__ import annotations

import json
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
from openmed_ner.training.search import RESULT
from openmed_ner.training.study.plan import Run, Start, iter_runs, read_study
from openmed_ner.training.study.reproduce import open_encoder, open_run
from openmed_ner.training.study.sources import Sources


def summarise_study(path: Path, folder: Path) -> dict[str, Any]:
    """Collect what is done of a study.

    Args:
        path: its recipe.
        folder: where it was carried out.

    Returns:
        ``encoders``: what each adaptation took and did to perplexity; ``runs``: each model trained, and the
        trials where settings were searched;
        ``scores``: per corpus, split and encoder, over the seeds; ``best``: the encoder that dev chooses for
        each corpus of a model; ``comparisons``: pairs of encoders.
    """
    study = read_study(path)
    sources = Sources(study.corpora, path.parent)
    done = [Done(run, *found) for run in iter_runs(study) if (found := open_run(folder, run))]
    encoders = {
        start.name: _describe_encoder(bundle.read_json(RECORD))
        for start in (*study.starts, *study.passing)
        if not start.is_released and (bundle := open_encoder(folder / start.bundle))
    }
    rows = []
    comparisons: list[dict[str, Any]] = []
    for model, settings in study.models.items():
        for corpus in settings.corpora:
            for split in ("dev", "test"):
                pooled = {}
                for start in (*study.starts, *study.passing):
                    own = [each for each in done if each.run.model == model and each.run.start == start]
                    if own and split in own[0].run.splits:
                        row, documents = _score(folder, own, corpus, sources, split)
                        rows.append({"model": model, "encoder": start.name, **_describe_start(own[0]), **row})
                        pooled[start] = documents
                names = {"model": model, "corpus": corpus, "split": split}
                comparisons += ({**names, **row} for row in _compare(study.starts, pooled))
    return {
        "title": study.title,
        **provenance(),
        "encoders": encoders,
        "runs": [_describe_run(each, folder) for each in done],
        "scores": rows,
        "best": list(_choose(rows, [start.name for start in study.starts])),
        "comparisons": comparisons,
    }


_KEPT = ("corpus", "split", "protocol", "documents", "micro", "seen", "unseen", "coverage_complete")
_OTHERS = ("word", "subword")
BySeed = dict[int, Sequence[Scores]]


@dataclass(frozen=True, slots=True)
class Done:
    """A model of a study that is done: what it is, its run record and its scores."""

    run: Run
    record: Mapping[str, Any]
    scores: Mapping[str, Any]

    def result(self, corpus: str, split: str, protocol: str) -> Mapping[str, Any]:
        """One of its scores."""
        wanted = corpus, split, protocol
        rows: Sequence[Mapping[str, Any]] = self.scores["results"]
        return next(row for row in rows if (row["corpus"], row["split"], row["protocol"]) == wanted)


def _describe_start(done: Done) -> dict[str, Any]:
    start = done.run.start
    return {"backbone": start.backbone, "adaptation": start.adaptation, "method": done.run.recipe.method}


def _score(
    folder: Path, runs: Sequence[Done], corpus: str, sources: Sources, split: str
) -> tuple[dict[str, Any], BySeed]:
    """The scores of one encoder on a corpus: a row, and the documents' scores of each seed."""
    gold = sources.documents(corpus, split)
    by_seed: BySeed = {}
    for each in runs:
        predicted = list(read_documents(folder / each.run.name / f"{split}-{corpus}.jsonl"))
        by_seed[each.run.recipe.seed] = score_documents(gold, predicted)
    f1 = [total(each).micro.f1 for each in by_seed.values()]
    mean, deviation = mean_and_deviation(f1)
    mentions = [each.result(corpus, split, "mention") for each in runs]
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
            each["with_alternatives"]["f1"] for each in mentions if "with_alternatives" in each
        ],
    }
    if split == "test":
        for protocol in _OTHERS:
            values = [each.result(corpus, split, protocol)["micro"]["f1"] for each in runs]
            row[protocol] = mean_and_deviation(values)[0]
    return row, by_seed


def _pool(by_seed: BySeed, seeds: Iterable[int]) -> list[Scores]:
    """The documents' scores summed over some seeds."""
    return [total(each) for each in zip(*(by_seed[seed] for seed in seeds), strict=True)]


def _compare(starts: Sequence[Start], found: Mapping[Start, BySeed]) -> Iterator[dict[str, Any]]:
    """Encoders of one backbone, and backbones as released; the later first, so that a gain is positive.

    The seeds that both have are compared.
    """
    for second, first in combinations([start for start in starts if start in found], 2):
        seeds = [seed for seed in found[first] if seed in found[second]]
        if seeds and (first.backbone == second.backbone or (first.is_released and second.is_released)):
            comparison = paired_randomisation(*(_pool(found[start], seeds) for start in (first, second)))
            names = {"first": first.name, "second": second.name, "seeds": seeds}
            yield {**names, **asdict(comparison), "difference": comparison.difference}


def _choose(rows: Sequence[Mapping[str, Any]], encoders: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The row of test scores of the encoder with the best mean on dev, for each model and corpus."""
    scores = {
        (row["model"], row["corpus"], row["split"], row["encoder"]): row
        for row in rows
        if row["encoder"] in encoders  # not one on the way
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


def _describe_run(done: Done, folder: Path) -> dict[str, Any]:
    run = done.run
    trials = (
        json.loads((folder / run.name / RESULT).read_text(encoding="utf-8"))["trials"] if run.searched else []
    )
    return {
        "model": run.model,
        "encoder": run.encoder,
        "seed": run.recipe.seed,
        "searched": run.searched,
        **({"trials": trials} if trials else {}),
        "sha256": done.scores["sha256"],
        **describe_training(done.record),
        "results": [{key: row[key] for key in _KEPT if key in row} for row in done.scores["results"]],
    }
