"""Turn unlabelled text into a pretraining set.

One pass: every passage is read, cleaned, encoded, and asked the questions of ``account.REASONS`` in
their order, cheapest first; what is left is cut into pieces and written to a file of its own. Which
passages are held out can only be said once all are known (those with the smallest hashes are, so the
choice does not depend on the order of the input); then the pieces are parted into shards. Memory grows
by about 3 KB per passage kept, nearly all of it for finding near duplicates.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Any

from openmed_ner.errors import InputError
from openmed_ner.formats.discovery import iter_files, read_passages
from openmed_ner.training.passages.filter import PassageFilter
from openmed_ner.training.passages.guard import Guard, load_guard
from openmed_ner.training.passages.held_out import part
from openmed_ner.training.passages.settings import PassageSettings
from openmed_ner.training.passages.shards import FORMAT, open_folder, write_manifest
from openmed_ner.training.passages.sources import LicenceClass, PassageSource, SourceAccount
from openmed_ner.training.passages.subwords import PassageTokenizer


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the preparation is: what it does, passages read and kept so far."""

    stage: str
    read: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class PassageSet:
    """What was prepared.

    Attributes:
        folder: where it is.
        manifest: what its ``passages.json`` says.
        accounts: what became of the passages, by source.
    """

    folder: Path
    manifest: Mapping[str, Any]
    accounts: Mapping[str, SourceAccount]

    @property
    def total(self) -> SourceAccount:
        """The accounts of all sources together."""
        return reduce(add, self.accounts.values(), SourceAccount())


def prepare(
    paths: Sequence[Path],
    folder: Path,
    *,
    tokenizer_json: str,
    settings: PassageSettings | None = None,
    format: str | None = None,
    licences: Mapping[str, LicenceClass] | None = None,
    guard: Guard | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> PassageSet:
    """Prepare a pretraining set.

    Args:
        paths: files and folders, see :mod:`openmed_ner.formats.discovery`.
        folder: where to write; must not hold anything.
        tokenizer_json: contents of the backbone's ``tokenizer.json``.
        settings: the defaults if ``None``.
        format: of the files; told from their names if ``None``.
        licences: licence classes of sources, where they differ from the table.
        guard: the sentences of dev and test documents; read from the catalog as ``settings`` say if ``None``.
        on_progress: told now and then how far it is.

    Raises:
        InputError: nothing is left, there are too many sources, or the folder is not empty.
        CorpusFormatError: a file is damaged or does not follow its format.
        CorpusError: the guard needs corpora that are not there.
        BundleError: the tokenizer cannot be used.
        MissingExtraError: a library of the ``train`` extra is not installed.
    """
    settings = settings or PassageSettings()
    files = list(iter_files(list(paths), format=format))
    tokenizer = PassageTokenizer(tokenizer_json)
    with open_folder(folder) as place:
        if guard is None:
            guard = load_guard(settings.guard, on_split=lambda name: on_progress(Progress(f"guard {name}")))
        skipped: Counter[str] = Counter()
        spool = place / "spool"
        with spool.open("wb") as file:
            sieve = PassageFilter(settings, tokenizer, guard, licences or {}, file)
            for path, name, kind in files:
                if kind is not None:
                    passages = read_passages(path, kind, on_skip=lambda reason: skipped.update([reason]))
                    sieve.take(passages, partial(_report, on_progress, name))
        if not sieve.pieces:
            raise InputError(f"no passage is left of {sieve.read} read: {_describe(_accounts(sieve))}")
        on_progress(Progress("writing", sieve.read, len(sieve.keys)))
        with spool.open("rb") as file:
            shards = part(sieve, file, place, settings)
        spool.unlink()
        accounts = _accounts(sieve)
        manifest = {
            "format": FORMAT,
            "settings": asdict(settings),
            "tokenizer": _describe_tokenizer(tokenizer_json, tokenizer),
            "guard": _describe_guard(settings, guard, sieve.hits),
            "sources": [_describe_source(sieve.sources[name], accounts[name]) for name in sieve.numbers],
            "without_pieces": [
                _describe_source(sieve.sources[name], account)
                for name, account in accounts.items()
                if name not in sieve.numbers
            ],
            "total": reduce(add, accounts.values()).to_json(),
            "shards": shards,
            "inputs": [each for path, name, kind in files if kind for each in _iter_inputs(path, name)],
            "not_read": [name for _, name, kind in files if kind is None],
            "skipped_articles": dict(sorted(skipped.items())),
        }
        write_manifest(place, manifest)
    return PassageSet(folder, manifest, accounts)


def _accounts(sieve: PassageFilter) -> dict[str, SourceAccount]:
    return {name: SourceAccount.from_counts(sieve.counts[name]) for name in sorted(sieve.counts)}


def _report(tell: Callable[[Progress], None], name: str, read: int, kept: int) -> None:
    tell(Progress(name, read, kept))


def _describe(accounts: Mapping[str, SourceAccount]) -> str:
    dropped = reduce(add, accounts.values(), SourceAccount()).dropped
    return ", ".join(f"{reason} {count}" for reason, count in dropped.items()) or "the input is empty"


def _describe_tokenizer(tokenizer_json: str, tokenizer: PassageTokenizer) -> dict[str, Any]:
    sha256 = hashlib.sha256(tokenizer_json.encode("utf-8")).hexdigest()
    return {"sha256": sha256, "size": tokenizer.size, **tokenizer.special}


def _describe_guard(settings: PassageSettings, guard: Guard, hits: Mapping[str, int]) -> dict[str, Any]:
    return {
        "mode": settings.guard,
        "sha256": guard.sha256(),
        "sentences": len(guard.places),
        "common_sentences": guard.common,
        "missing": list(guard.missing),
        "splits": {
            name: {"documents": count, "passages_dropped": hits.get(name, 0)}
            for name, count in guard.documents.items()
        },
    }


def _describe_source(source: PassageSource, account: SourceAccount) -> dict[str, Any]:
    return {**asdict(source), **account.to_json()}


def _iter_inputs(path: Path, name: str) -> Iterator[dict[str, Any]]:
    """Name, size and SHA-256 of an input file, or of the files of an input folder."""
    for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
        below = f"{name}/{file.relative_to(path).as_posix()}" if path.is_dir() else name
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        yield {"name": below, "size": file.stat().st_size, "sha256": sha256}
