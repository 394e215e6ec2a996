"""Fetch corpora from where they are published, or from a folder, into archives of our layout.

Whatever the way, only files whose SHA-256 the catalog knows are written, and an archive appears only
once it is complete. An interrupted download goes on where it stopped, if the server allows that.
"""

from __future__ import annotations

import functools
import http.client
import io
import os
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from openmed_ner.corpora.archive import MAX_FILE, MAX_TOTAL, ArchiveMember, check, extract
from openmed_ner.corpora.corpus import Corpus
from openmed_ner.errors import CorpusError, RunError
from openmed_ner.offline import require_network

_BLOCK = 1 << 16
_TIMEOUT = 60
Contents = dict[str, dict[str, bytes]]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the files below a path of an archive are published.

    Attributes:
        prefix: the path in our archives that it fills.
        url: of a ``.tar.gz`` or ``.zip`` file, or, ending with ``/``, of a folder of single files.
        inside: the path within, below a ``.tar.gz`` file's one top folder.
    """

    prefix: str
    url: str
    inside: str = ""


def _github(prefix: str, repository: str, commit: str) -> Origin:
    return Origin(prefix, f"https://github.com/{repository}/archive/{commit}.tar.gz")


def _single_files(prefix: str, repository: str, commit: str, inside: str) -> Origin:
    return Origin(prefix, f"https://raw.githubusercontent.com/{repository}/{commit}/{inside}")


_AITSLAB = ("Aitslab/BioNLP", "7d087e081c9cfc7bace9216206dbc8f474695ab7")
_HUNER = "Salma/HUNER_DATASET/HUNER_DATASET/HUNER_NER_DATASETS_MINIMAL/"
ORIGINS: tuple[Origin, ...] = (
    _github("ncbi-disease/spyysalo/", "spyysalo/ncbi-disease", "5a266c6fc76fb2b5184cfa397ff0a5ecdb133aec"),
    _single_files("bc5cdr/raw/", *_AITSLAB, "jacob/BioGPT/data/BC5CDR/raw/"),
    _github("bc2gm/spyysalo/", "spyysalo/bc2gm-corpus", "018161681145daf751af037cb890f3a54f62a74d"),
    _github("jnlpba/spyysalo/", "spyysalo/jnlpba", "4455122de861c6e448e2e8c7f19ef8f49dbc32b2"),
    _single_files(
        "jnlpba/baderlab/",
        "BaderLab/Biomedical-Corpora",
        "16a661de8ed604dc71da0fcd3d29fcf3bc2ab5ce",
        "corpora/NER/CoNLL/BIO/",
    ),
    _github(
        "linnaeus/original/", "spyysalo/linnaeus-corpus-data", "274ef6ed11178320832f58f8cca158a93889aeda"
    ),
    _github("linnaeus/spyysalo/", "spyysalo/linnaeus-corpus", "f75269c93b887d256061faf1339628b1c7e472db"),
    _github(
        "s800/s800-revision-data/", "spyysalo/s800-revision-data", "3f41fbb3e6a0d1056e939541dc35a26a8a659862"
    ),
    _github("s800/spyysalo/", "spyysalo/s800", "f5425e7498930757c8577828eabc41cf88d80348"),
    _github("anatem/openbiocorpora/", "openbiocorpora/anatem", "a0209b9d37fb9eb8a2c986f63a5352bd66bc3f2e"),
    _github(
        "bionlp13cg/openbiocorpora/",
        "openbiocorpora/bionlp-st-2013-cg",
        "b4a603dee25bd6ac5636017c2be41fd2edc52a3e",
    ),
    _single_files("chemprot/", *_AITSLAB, "jacob/SciBERT_Finetune/data/chemprot/"),
    _single_files("cll/hunflair/", *_AITSLAB, _HUNER),
    _single_files("gellus/hunflair/", *_AITSLAB, _HUNER),
    _single_files("fsu/hunflair/", *_AITSLAB, _HUNER),
    _single_files("bc4chemd/hunflair/", *_AITSLAB, _HUNER),
)


def fetch(
    corpus: Corpus,
    folder: Path,
    *,
    source: Path | None = None,
    origins: Sequence[Origin] = ORIGINS,
    on_progress: Callable[[str, int], None] = lambda url, size: None,
) -> list[Path]:
    """Bring the archives of a corpus into a folder; those that are there and right are left alone.

    Args:
        corpus: a row of the catalog.
        folder: where the archives go; what they hold of other corpora stays.
        source: a folder with such archives to take the files from, instead of the network.
        origins: where the files are published.
        on_progress: called with the address and the bytes so far, as a download goes on.

    Returns:
        The archives written.

    Raises:
        CorpusError: a file is published nowhere we know, or is not the known release.
        RunError: ``OPENMED_NER_OFFLINE`` is 1 (an ``OfflineError``), or a download failed.
    """
    written = []
    for archive in dict.fromkeys(member.archive for member in corpus.members):
        members = [member for member in corpus.members if member.archive == archive]
        if _is_right(folder, members):
            continue
        if source is not None:
            contents = extract(source, members)
            for member in members:
                check(source / archive, member, contents[member.path])
        else:
            contents = _download(members, folder / ".downloads", origins, on_progress)
        _write_archive(folder / archive, contents)
        written.append(folder / archive)
    return written


def _is_right(folder: Path, members: Sequence[ArchiveMember]) -> bool:
    try:
        contents = extract(folder, members)
        for member in members:
            check(folder / member.archive, member, contents[member.path])
    except CorpusError:
        return False
    return True


def _write_archive(path: Path, contents: Contents) -> None:
    """Add files to an archive, which is replaced in one move."""
    files = dict(_iter_archive(path)) if path.is_file() else {}
    for member, found in contents.items():
        parent = member.rpartition("/")[0]
        files.update({f"{parent}/{name}": content for name, content in found.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with tarfile.open(partial, "w:xz") as tar:
            for name, content in sorted(files.items()):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _download(
    members: Sequence[ArchiveMember],
    cache: Path,
    origins: Sequence[Origin],
    on_progress: Callable[[str, int], None],
) -> Contents:
    """Take members from where they are published, checked; what was wrong is not kept in the cache."""
    require_network("downloads", instead="take the archives from a folder with --from")
    places = [_locate(member, origins) for member in members]
    contents: Contents = {}
    for member, (url, inside) in zip(members, places, strict=True):
        path = _download_file(url, cache, on_progress)
        try:
            name = member.path.rpartition("/")[2]
            found = _take(path, url, inside) if inside else {name: path.read_bytes()}
            check(Path(member.archive), member, found)
        except CorpusError as error:
            path.unlink()  # two halves that do not belong together, say: the next attempt begins afresh
            raise CorpusError(f"{url}: {error}") from error
        contents[member.path] = found
    return contents


def _locate(member: ArchiveMember, origins: Sequence[Origin]) -> tuple[str, str]:
    """The address of a file, and the path within it; none for a file of its own."""
    origin = next((each for each in origins if member.path.startswith(each.prefix)), None)
    if origin is None:
        raise CorpusError(f"{member.path}: no place is known to download it from; use --from FOLDER")
    rest = member.path.removeprefix(origin.prefix)
    if origin.url.endswith("/"):
        return origin.url + urllib.parse.quote(rest), ""
    return origin.url, origin.inside + rest


def _take(path: Path, url: str, inside: str) -> dict[str, bytes]:
    """The files that a downloaded archive holds at a path: name to content."""
    wanted = ArchiveMember(inside, "")
    below_top = url.endswith(".tar.gz")
    files = _iter_archive(path, lambda name: wanted.holds(name.partition("/")[2] if below_top else name))
    return {name.rpartition("/")[2]: content for name, content in files}


def _download_file(url: str, cache: Path, on_progress: Callable[[str, int], None]) -> Path:
    """Download to the cache, once, going on where an earlier attempt stopped."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / blake2b(url.encode(), digest_size=12).hexdigest()
    if path.is_file():
        return path
    partial = path.with_suffix(".partial")
    size = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={size}-"} if size else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            goes_on = response.status == 206
            with partial.open("ab" if goes_on else "wb") as file:
                while block := response.read(_BLOCK):
                    file.write(block)
                    if file.tell() > MAX_TOTAL:
                        raise RunError(f"{url}: larger than any corpus we know; the download was stopped")
                    on_progress(url, file.tell())
            if response.length:  # a short body ends like a whole one, unless it is chunked
                raise RunError(
                    f"{url}: the server stopped {response.length} bytes early; run the command again to go on"
                )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not size:
            raise RunError(f"{url}: the server answered {error.code} {error.reason}") from error
        partial.unlink()  # it is longer than the file, or is all of it: begin again
        return _download_file(url, cache, on_progress)
    except (OSError, http.client.HTTPException) as error:
        raise RunError(f"{url}: the download failed: {error}; run the command again to go on") from error
    partial.replace(path)
    return path


def _iter_archive(
    path: Path, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, bytes]]:
    """The regular files of a tar or zip archive, within the limits of what a corpus may hold."""
    total = 0
    try:
        for name, size, read in _iter_entries(path):
            if wanted(name):
                total += size
                if size > MAX_FILE or total > MAX_TOTAL:
                    raise CorpusError(f"{path}, {name}: larger than any corpus file we know")
                yield name, read()
    except CorpusError:
        raise
    except Exception as error:  # zlib, lzma and struct each have an error of their own
        raise CorpusError(
            f"{path} cannot be read as an archive: {error}; remove it to fetch it again"
        ) from error


def _iter_entries(path: Path) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Name and size of the regular files of an archive, and how to read each."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    yield info.filename, info.file_size, functools.partial(archive.read, info)
        return
    with tarfile.open(path) as tar:
        for entry in tar:
            file = tar.extractfile(entry) if entry.isfile() else None
            if file:
                yield entry.name, entry.size, file.read
