"""Turn unlabelled text into a pretraining set.

One pass reads, cleans, encodes and filters every passage, in the order of ``sources.REASONS``, cuts the kept
ones into pieces, and spools these to a file. The passages with the smallest hashes are held out; this choice
is made at the end and does not depend on the order of the input. Then the pieces are written to shards.
Memory grows by about 3 KB per kept passage, nearly all of it for finding near duplicates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Any

from openmed_ner.errors import InputError
from openmed_ner.formats.discovery import iter_files, read_passages
from openmed_ner.formats.files import list_files
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.storage import sha256, sha256_file, write_json
from openmed_ner.training.passages.filter import PassageFilter
from openmed_ner.training.passages.guard import Guard, load_guard
from openmed_ner.training.passages.held_out import write_splits
from openmed_ner.training.passages.settings import PassageSettings
from openmed_ner.training.passages.shards import FORMAT, MANIFEST, open_folder
from openmed_ner.training.passages.sources import LicenceClass, PassageSource, SourceAccount
from openmed_ner.training.passages.subwords import PassageTokenizer


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of the preparation: its stage, and the passages read and kept so far."""

    stage: str
    read: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class PassageSet:
    """A prepared set of passages.

    Attributes:
        folder: folder of the set.
        manifest: contents of its ``passages.json``.
        accounts: account of the passages of each source.
    """

    folder: Path
    manifest: Mapping[str, Any]
    accounts: Mapping[str, SourceAccount]

    @property
    def total(self) -> SourceAccount:
        """Sum of the accounts of all sources."""
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
    on_bad: OnBad = fail,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> PassageSet:
    """Prepare a pretraining set.

    Args:
        paths: files and folders, see :mod:`openmed_ner.formats.discovery`.
        folder: folder to write; must be empty or missing.
        tokenizer_json: contents of the backbone's ``tokenizer.json``.
        settings: settings of the set; the defaults if ``None``.
        format: format of the files; inferred from the file names if ``None``.
        licences: licence classes of sources that differ from the table.
        guard: sentences of dev and test documents; by default, read from the catalog as ``settings`` say.
        on_bad: called with the error of each bad record, which is then left out and counted.
        on_progress: callback with the progress, now and then.

    Raises:
        InputError: no passage is left, there are too many sources, or the folder is not empty.
        CorpusFormatError: a file is damaged or does not follow its format.
        CorpusError: the guard needs corpora that are not available.
        BundleError: the tokenizer cannot be used.
        MissingExtraError: a library of the ``train`` extra is not installed.
    """
    settings = settings or PassageSettings()
    files = list(iter_files(list(paths), format=format))
    tokenizer = PassageTokenizer(tokenizer_json)

    with open_folder(folder) as partial_folder:
        if guard is None:
            guard = load_guard(settings.guard, on_split=lambda name: on_progress(Progress(f"guard {name}")))

        skipped: Counter[str] = Counter()
        n_bad = 0

        def note_bad(error: InputError) -> None:
            nonlocal n_bad
            n_bad += 1
            on_bad(error)

        spool = partial_folder / "spool"
        with spool.open("wb") as file:
            selected = PassageFilter(settings, tokenizer, guard, licences or {}, file)
            for path, name, kind in files:
                if kind is not None:
                    passages = read_passages(
                        path,
                        kind,
                        on_skip=lambda reason: skipped.update([reason]),
                        on_bad=fail if on_bad is fail else note_bad,
                    )
                    selected.add_all(passages, partial(_report, on_progress, name))
        if not selected.pieces:
            raise InputError(f"no passage is left of {selected.read} read: {_describe(_accounts(selected))}")

        on_progress(Progress("writing", selected.read, len(selected.keys)))
        with spool.open("rb") as spooled:
            shards = write_splits(selected, spooled, partial_folder, settings)
        spool.unlink()

        accounts = _accounts(selected)
        manifest = {
            "format": FORMAT,
            "settings": asdict(settings),
            "tokenizer": _describe_tokenizer(tokenizer_json, tokenizer),
            "guard": _describe_guard(settings, guard, selected.hits),
            "sources": [
                _describe_source(selected.sources[name], accounts[name]) for name in selected.numbers
            ],
            "without_pieces": [
                _describe_source(selected.sources[name], account)
                for name, account in accounts.items()
                if name not in selected.numbers
            ],
            "total": reduce(add, accounts.values()).to_json(),
            "shards": shards,
            "inputs": [entry for path, name, kind in files if kind for entry in _iter_inputs(path, name)],
            "not_read": [name for _, name, kind in files if kind is None],
            "skipped_articles": dict(sorted(skipped.items())),
            "bad_records": n_bad,
        }
        write_json(partial_folder / MANIFEST, manifest)
    return PassageSet(folder, manifest, accounts)


def _accounts(selected: PassageFilter) -> dict[str, SourceAccount]:
    return {name: SourceAccount.from_counts(selected.counts[name]) for name in sorted(selected.counts)}


def _report(on_progress: Callable[[Progress], None], name: str, n_read: int, n_kept: int) -> None:
    on_progress(Progress(name, n_read, n_kept))


def _describe(accounts: Mapping[str, SourceAccount]) -> str:
    dropped = reduce(add, accounts.values(), SourceAccount()).dropped
    return ", ".join(f"{reason} {count}" for reason, count in dropped.items()) or "the input is empty"


def _describe_tokenizer(tokenizer_json: str, tokenizer: PassageTokenizer) -> dict[str, Any]:
    return {"sha256": sha256(tokenizer_json.encode("utf-8")), "size": tokenizer.size, **tokenizer.special}


def _describe_guard(settings: PassageSettings, guard: Guard, hits: Mapping[str, int]) -> dict[str, Any]:
    return {
        "mode": settings.guard,
        "sha256": guard.digest(),
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
    """Yield name, size and SHA-256 of an input file, or of the files of an input folder."""
    files = list_files(path) if path.is_dir() else [path]
    for file in files:
        relative = f"{name}/{file.relative_to(path).as_posix()}" if path.is_dir() else name
        yield {"name": relative, "size": file.stat().st_size, "sha256": sha256_file(file)}
