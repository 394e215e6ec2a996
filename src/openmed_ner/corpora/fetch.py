"""Fetch corpora from their publishers, or from a folder, into archives of one layout.

Only files whose SHA-256 is in the catalog are written, and an archive appears only once it is complete. An
interrupted download resumes at its last byte, if the server allows that.
"""

from __future__ import annotations

import functools
import http.client
import io
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from openmed_ner.corpora.archive import MAX_FILE, MAX_TOTAL, ArchiveMember, extract, verify
from openmed_ner.corpora.corpus import Corpus
from openmed_ner.errors import CorpusError, RunError
from openmed_ner.offline import require_network
from openmed_ner.storage import atomic_path

_BLOCK = 1 << 16
_TIMEOUT = 60
Contents = dict[str, dict[str, bytes]]


@dataclass(frozen=True, slots=True)
class Origin:
    """The publisher's address of the files below a path of an archive.

    Attributes:
        prefix: path in the corpus archives.
        url: address of a ``.tar.gz`` or ``.zip`` file, or, ending with ``/``, of a folder of single files.
        inside: path within the downloaded archive, below the one top folder of a ``.tar.gz`` file.
    """

    prefix: str
    url: str
    inside: str = ""


def _github(prefix: str, repository: str, commit: str) -> Origin:
    return Origin(prefix, f"https://github.com/{repository}/archive/{commit}.tar.gz")


def _single_files(prefix: str, repository: str, commit: str, inside: str) -> Origin:
    return Origin(prefix, f"https://raw.githubusercontent.com/{repository}/{commit}/{inside}")


_AITSLAB = ("Aitslab/BioNLP", "7d087e081c9cfc7bace9216206dbc8f474695ab7")
_AIONER = ("ncbi/AIONER", "b8fa941dc8f49e1c99756832da0c61e9c58dcef8")
_MACCROBAT = "f2b522984cc621d5c7e00fbce02ddeee2a5b8077"
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
    *(
        _single_files(f"{archive}/", *_AIONER, "data/pubtator/")
        for archive in ("nlm-gene", "gnormplus", "biored", "tmvar3", "bioid")
    ),
    Origin("maccrobat/", f"https://github.com/Saieiei/NLP/archive/{_MACCROBAT}.tar.gz", "MACCROBAT2020/"),
)


def fetch(
    corpus: Corpus,
    folder: Path,
    *,
    source: Path | None = None,
    origins: Sequence[Origin] = ORIGINS,
    on_progress: Callable[[str, int], None] = lambda url, size: None,
) -> list[Path]:
    """Write the archives of a corpus into a folder; archives that are complete already are left alone.

    Args:
        corpus: row of the catalog.
        folder: folder for the archives; their files of other corpora stay.
        source: folder with such archives, read instead of the network.
        origins: addresses of the files.
        on_progress: callback for the address and the number of bytes downloaded so far.

    Returns:
        The archives that were written.

    Raises:
        CorpusError: a file has no known address, or is not the known release.
        RunError: ``OPENMED_NER_OFFLINE`` is 1 (an ``OfflineError``), or a download failed.
    """
    written = []
    # Archives, not members: a corpus may be spread over several.
    for archive in dict.fromkeys(member.archive for member in corpus.members):
        members = [member for member in corpus.members if member.archive == archive]
        if _is_complete(folder, members):
            continue

        if source is not None:
            contents = extract(source, members)
            for member in members:
                verify(source / archive, member, contents[member.path])
        else:
            contents = _download(members, folder / ".downloads", origins, on_progress)

        _write_archive(folder / archive, contents)
        written.append(folder / archive)
    return written


def _is_complete(folder: Path, members: Sequence[ArchiveMember]) -> bool:
    try:
        contents = extract(folder, members)
        for member in members:
            verify(folder / member.archive, member, contents[member.path])
    except CorpusError:
        return False
    return True


def _write_archive(path: Path, contents: Contents) -> None:
    """Add files to an archive, which is replaced in one move."""
    # BC5CDR has one archive for two corpora; the files of the other one stay.
    files = dict(_iter_archive(path)) if path.is_file() else {}
    for member, member_files in contents.items():
        parent = member.rpartition("/")[0]
        files.update({f"{parent}/{name}": content for name, content in member_files.items()})

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as partial, tarfile.open(partial, "w:xz") as tar:
        for name, content in sorted(files.items()):
            # No owner and no time: the same files give the same archive.
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def _download(
    members: Sequence[ArchiveMember],
    cache: Path,
    origins: Sequence[Origin],
    on_progress: Callable[[str, int], None],
) -> Contents:
    """Download members and verify them; a file that fails is removed from the cache."""
    require_network("downloads", instead="take the archives from a folder with --from")
    addresses = [_locate(member, origins) for member in members]
    contents: Contents = {}
    for member, (url, inside) in zip(members, addresses, strict=True):
        path = _download_file(url, cache, on_progress)
        try:
            name = member.path.rpartition("/")[2]
            files = _read_inside(path, url, inside) if inside else {name: path.read_bytes()}
            verify(Path(member.archive), member, files)
        except CorpusError as error:
            # Perhaps two halves of different files: only a download from the first byte can help.
            path.unlink()
            raise CorpusError(f"{url}: {error}") from error
        contents[member.path] = files
    return contents


def _locate(member: ArchiveMember, origins: Sequence[Origin]) -> tuple[str, str]:
    """Return the address of a download, and the path within it (empty for a single file)."""
    origin = next((row for row in origins if member.path.startswith(row.prefix)), None)
    if origin is None:
        raise CorpusError(f"{member.path}: no download address is known; use --from FOLDER")
    rest = member.path.removeprefix(origin.prefix)
    if origin.url.endswith("/"):
        return origin.url + urllib.parse.quote(rest), ""
    return origin.url, origin.inside + rest


def _read_inside(path: Path, url: str, inside: str) -> dict[str, bytes]:
    """Read the files at a path of a downloaded archive: name to content."""
    member = ArchiveMember(inside, "")
    # GitHub puts everything into one folder, which is named after the commit.
    below_top = url.endswith(".tar.gz")
    files = _iter_archive(path, lambda name: member.matches(name.partition("/")[2] if below_top else name))
    return {name.rpartition("/")[2]: content for name, content in files}


def _download_file(url: str, cache: Path, on_progress: Callable[[str, int], None]) -> Path:
    """Download a file to the cache once, resuming an earlier attempt."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / blake2b(url.encode(), digest_size=12).hexdigest()
    if path.is_file():
        return path

    partial = path.with_suffix(".partial")
    size = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={size}-"} if size else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            resumes = response.status == 206
            with partial.open("ab" if resumes else "wb") as file:
                while block := response.read(_BLOCK):
                    file.write(block)
                    if file.tell() > MAX_TOTAL:
                        raise RunError(f"{url}: larger than any known corpus; the download was stopped")
                    on_progress(url, file.tell())
            if response.length:  # a short body ends like a whole one, unless it is chunked
                raise RunError(
                    f"{url}: the server stopped {response.length} bytes early; "
                    "run the command again to resume"
                )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not size:
            raise RunError(f"{url}: the server answered {error.code} {error.reason}") from error
        partial.unlink()  # longer than the file, or complete already: begin again
        return _download_file(url, cache, on_progress)
    except (OSError, http.client.HTTPException) as error:
        raise RunError(f"{url}: the download failed: {error}; run the command again to resume") from error

    partial.replace(path)
    return path


def _iter_archive(
    path: Path, selects: Callable[[str], bool] = lambda name: True
) -> Iterator[tuple[str, bytes]]:
    """Yield the regular files of a tar or zip archive, within the limits of a corpus."""
    total = 0
    try:
        for name, size, read in _iter_entries(path):
            if selects(name):
                total += size
                if size > MAX_FILE or total > MAX_TOTAL:
                    raise CorpusError(f"{path}, {name}: larger than any known corpus file")
                yield name, read()
    except CorpusError:
        raise
    except Exception as error:  # zlib, lzma and struct each have an error of their own
        raise CorpusError(
            f"{path} cannot be read as an archive: {error}; remove it to fetch it again"
        ) from error


def _iter_entries(path: Path) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Yield name, size and reader of the regular files of an archive."""
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
