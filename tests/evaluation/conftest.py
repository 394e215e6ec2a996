"""Fixtures of the evaluation of identifiers."""

from __future__ import annotations

import pytest

from lexicons import build_store
from openmed_ner.linking import Linker, LinkingOptions


@pytest.fixture(scope="session")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Linker:
    """Links to small terminologies, without near names."""
    return Linker.open(build_store(tmp_path_factory.mktemp("store")), LinkingOptions(near=False))
