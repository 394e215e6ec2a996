from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def share_embedded_model(shared_embedded_model: None) -> None:
    """All commands tag with one embedded model; a bundle that they name is loaded as for users."""
