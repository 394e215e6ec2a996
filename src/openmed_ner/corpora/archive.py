"""Read single files out of corpus archives, and check that they are the release we know.

Archives are never unpacked: a member is read by its exact name, so a hostile archive has no path
to write to, and at most ``MAX_MEMBER`` bytes of it are taken.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

from openmed_ner.errors import CorpusError

ENVIRONMENT = "OPENMED_NER_CORPORA"
MAX_MEMBER = 256 << 20


def corpora_folder() -> Path:
    """The folder of the corpus archives.

    Raises:
        CorpusError: ``OPENMED_NER_CORPORA`` is unset or no folder.
    """
    value = os.environ.get(ENVIRONMENT, "")
    if not value:
        raise CorpusError(f"{ENVIRONMENT} is not set; let it name the folder that holds the corpus archives")
    folder = Path(value)
    if not folder.is_dir():
        raise CorpusError(f"{ENVIRONMENT} names {folder}, which is not a folder")
    return folder


def read_member(archive: Path, member: str, *, sha256: str) -> str:
    """Read one UTF-8 file of an archive.

    Raises:
        CorpusError: the archive or the member is missing or damaged, or its SHA-256 is not ``sha256``.
    """
    if not archive.is_file():
        raise CorpusError(f"{archive} is missing; place the corpus archive there")
    try:
        with tarfile.open(archive) as tar:
            file = tar.extractfile(member)
            content = file.read(MAX_MEMBER + 1) if file else b""
    except KeyError as error:
        raise CorpusError(f"{archive} has no member {member}") from error
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise CorpusError(f"{archive} cannot be read: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise CorpusError(
            f"{archive}, {member}: SHA-256 is {found}, expected {sha256}: not the known release"
        )
    return content.decode("utf-8")
