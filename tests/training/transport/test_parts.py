"""Parts arrive in any order; a wrong, missing or damaged one is named before anything is unpacked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import InputError
from openmed_ner.training.transport.packing import parse_size
from openmed_ner.training.transport.parts import (
    check_part,
    group_parts,
    join_parts,
    receive_part,
    write_parts,
)

SIZE = 5000


def make_parts(folder: Path, content: bytes, name: str = "packed") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "archive").write_bytes(content)
    return write_parts(folder / "archive", folder / "parts", archive=name, size=SIZE)


@given(content=st.binary(max_size=4000), order=st.randoms(use_true_random=False))
def test_joining_is_the_inverse_of_cutting(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, order: object
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    parts = make_parts(folder, content)
    order.shuffle(parts)  # type: ignore[attr-defined]
    assert all(path.stat().st_size <= SIZE for path in parts)
    join_parts(parts, folder / "joined")
    assert (folder / "joined").read_bytes() == content


def test_parts_are_received_in_any_order(tmp_path: Path) -> None:
    parts = make_parts(tmp_path, bytes(2000))
    assert len(parts) == 3
    assert receive_part(parts[2], tmp_path / "there") == ["packed-1-of-3.part", "packed-2-of-3.part"]
    assert receive_part(parts[2], tmp_path / "there") == ["packed-1-of-3.part", "packed-2-of-3.part"]
    assert receive_part(parts[0], tmp_path / "there") == ["packed-2-of-3.part"]
    with pytest.raises(InputError, match=r"parts are missing: packed-2-of-3\.part"):
        join_parts((tmp_path / "there").iterdir(), tmp_path / "joined")
    assert not (tmp_path / "joined").exists()
    assert receive_part(parts[1], tmp_path / "there") == []


def test_a_damaged_wrong_or_foreign_part_is_named(tmp_path: Path) -> None:
    first, second, _ = make_parts(tmp_path / "a", bytes(2000))
    content = first.read_bytes()
    for damaged, message in (
        (content[:-1], "expected 904: copy it again"),
        (content[:-1] + b"x", "is damaged"),
        (b"x" + content, "is not a part"),
        (b"", "is not a part"),
    ):
        first.write_bytes(damaged)
        with pytest.raises(InputError, match=message):
            check_part(first)
    with pytest.raises(InputError, match=r"cannot read .*none"):
        check_part(tmp_path / "none")

    other = make_parts(tmp_path / "b", bytes(2001))
    receive_part(second, tmp_path / "there")
    with pytest.raises(InputError, match=r"another packing than packed-2-of-3\.part"):
        receive_part(other[0], tmp_path / "there")
    assert len(group_parts([second, *other])) == 2


def test_sizes_have_units() -> None:
    sizes = [parse_size(text) for text in ("60MB", "1.5 kb", "2GB", "7")]
    assert sizes == [60_000_000, 1500, 2_000_000_000, 7]
    for text in ("", "MB", "-1MB", "sixty", "0"):
        with pytest.raises(InputError, match="expected a number"):
            parse_size(text)
