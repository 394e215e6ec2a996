"""The reader of ClinicalTrials.gov's dump, on files made by hand."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats import clinicaltrials as trials
from openmed_ner.formats.clinicaltrials import clean_markdown, read_clinicaltrials
from openmed_ner.formats.passage import Passage
from strategies import damaged

SUMMARY, DETAIL = "To see whether aspirin helps.", "A longer text."
CRITERIA = (
    "Inclusion Criteria:\n\n* Age \\>= 18 years\n* INR \\< 1.5 \\[lab\\]\n\nExclusion Criteria:\n\n* None"
)


def study(number: int, *, summary: str = SUMMARY, detail: str = "", criteria: str = "") -> dict[str, Any]:
    """A study as version 2 of the API gives it, cut short."""
    description = {"briefSummary": summary, "detailedDescription": detail}
    return {
        "protocolSection": {
            "identificationModule": {"nctId": f"NCT{number:08}", "briefTitle": "Aspirin"},
            "descriptionModule": {key: value for key, value in description.items() if value},
            "eligibilityModule": {"eligibilityCriteria": criteria, "sex": "ALL"} if criteria else {},
        },
        "resultsSection": {"protocolSection": {"briefSummary": "not this"}, "n": [1, {"nctId": 3}]},
        "hasResults": True,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dumps")


def trials_of(path: Path) -> tuple[list[Passage], Counter[str]]:
    skipped: list[str] = []
    return list(read_clinicaltrials(path, on_skip=skipped.append)), Counter(skipped)


def as_zip(path: Path, members: dict[str, str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_study_gives_a_passage_per_text_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "NCT00000001.json"
    path.write_text(json.dumps(study(1, detail=DETAIL, criteria=CRITERIA)))
    assert trials_of(path)[0] == [
        Passage("NCT00000001#summary", "clinicaltrials", SUMMARY),
        Passage("NCT00000001#description", "clinicaltrials", DETAIL),
        Passage(
            "NCT00000001#eligibility",
            "clinicaltrials",
            "Inclusion Criteria:\n* Age >= 18 years\n* INR < 1.5 [lab]\nExclusion Criteria:\n* None",
        ),
    ]


def test_the_same_studies_read_alike_from_every_container(tmp_path: Path) -> None:
    studies = [study(1), study(2, criteria=CRITERIA), study(3, summary="", detail=""), study(4, detail="é")]
    lines = "\n\n".join(map(json.dumps, studies))
    members = {f"{n}.json": json.dumps(one, ensure_ascii=False) for n, one in enumerate(studies)}
    (tmp_path / "list.json").write_text(json.dumps(studies, indent=1))
    (tmp_path / "page.json").write_text(
        json.dumps({"totalCount": 4, "studies": studies, "nextPageToken": "x"})
    )
    (tmp_path / "lines.jsonl").write_text("\ufeff" + lines, encoding="utf-8")
    (tmp_path / "lines.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "LIST.JSON.GZ").write_bytes(gzip.compress(json.dumps(studies).encode()))
    as_zip(tmp_path / "ctg-studies.json.zip", members)
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    for name, content in members.items():
        (tmp_path / "folder" / "deep" / name).write_text(content, encoding="utf-8")
    read = {path.name: trials_of(path) for path in tmp_path.iterdir()}
    assert len(read) == 7
    for name, (passages, skipped) in read.items():
        assert [passage.id for passage in passages] == [
            "NCT00000001#summary",
            "NCT00000002#summary",
            "NCT00000002#eligibility",
            "NCT00000004#summary",
            "NCT00000004#description",
        ], name
        assert skipped == {"no text": 1}, name


def test_other_files_are_passed_over_and_counted(tmp_path: Path) -> None:
    members = {"a/": "", "a/NCT1.json": json.dumps(study(1)), "../../README.txt": "x", "b.csv": "x"}
    as_zip(tmp_path / "all.zip", members)
    (tmp_path / "notes.txt").write_text("x")
    passages, skipped = trials_of(tmp_path)
    assert [passage.id for passage in passages] == ["NCT00000001#summary"]
    assert skipped == {"other file": 3}
    with pytest.raises(InputError, match=r"notes.txt: expected a folder or a file that ends with .json"):
        trials_of(tmp_path / "notes.txt")


@given(st.text(max_size=60))
@example("a  \r\n\n \t\n b\\\\n \\")
def test_cleaning_markdown_changes_escapes_and_blanks_only(text: str) -> None:
    cleaned = clean_markdown(text)
    assert "".join(cleaned.split()) == "".join(trials._ESCAPE.sub(r"\1", text).split())
    assert "\n\n" not in cleaned and cleaned == cleaned.strip()


def changed(path: str, value: object) -> dict[str, Any]:
    """A study with one value replaced."""
    record = study(1, criteria=CRITERIA)
    inner, *steps = record["protocolSection"], *path.split(".")
    for step in steps[:-1]:
        inner = inner[step]
    inner[steps[-1]] = value
    return record


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ", line 1: not JSON: Expecting value"),
        ("[\n{},\n}]", ", line 3: not JSON"),
        ("[" * 100_000, ", line 1: not readable JSON"),
        ("9" * 5000, ", line 1: not readable JSON"),
        ("3", ', line 1: expected a study, an object with "protocolSection"'),
        ('{"FullStudiesResponse": {}}', ", line 1: expected a study, .* version 2"),
        ('{"studies": {}}', ", line 1: expected a study"),
        ("[[]]", ", study 1: expected a study"),
        (json.dumps([study(1), {}]), ", study 2: expected a study"),
        (changed("identificationModule", {}), ', line 1: expected NCT and eight .* found \'\''),
        (changed("identificationModule.nctId", "NCT1"), ", line 1: expected NCT and eight"),
        (changed("identificationModule.nctId", 3), ', line 1: expected a string .* found 3'),
        (changed("descriptionModule", [1]), ', line 1: expected a string under "descr'),
        (changed("eligibilityModule.eligibilityCriteria", ["x"]), ", line 1: expected a string"),
        (changed("descriptionModule.briefSummary", "\ud800"), ", line 1: the briefSummary holds"),
        ('{"a":\n "\xe9"}', ", line 2: not UTF-8: byte 0xe9"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_json_that_holds_no_studies_is_refused(
    tmp_path: Path, content: str | dict[str, Any], message: str
) -> None:
    path = tmp_path / "x.json"
    path.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode("latin-1"))
    with pytest.raises(CorpusFormatError, match=f"x.json{message}"):
        trials_of(path)


def test_a_bad_line_is_named_after_the_good_ones_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(study(1))}\n\n{{\n")
    passages = read_clinicaltrials(path)
    assert next(passages).id == "NCT00000001#summary"
    with pytest.raises(CorpusFormatError, match=r"x.jsonl, line [34]: not JSON"):
        next(passages)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "MAX_FILE", 2000)
    monkeypatch.setattr(trials, "MAX_STUDY", 2000)
    big = json.dumps(study(1, summary="x" * 3000))
    (tmp_path / "x.json.gz").write_bytes(gzip.compress(big.encode()))
    (tmp_path / "x.jsonl").write_text(f"{json.dumps(study(1))}\n{big}")
    as_zip(tmp_path / "x.zip", {"a.json": big})
    for name, message in {
        "x.json.gz": r"more than 0 MB of JSON, .* \(\.zip\), or JSON lines",
        "x.jsonl": ", line 2: longer than 2000 bytes",
        "x.zip": "member 'a.json': unpacks from [0-9]+ to 3,[0-9]{3} bytes",
    }.items():
        with pytest.raises(CorpusFormatError, match=message):
            trials_of(tmp_path / name)


def test_a_zip_made_to_exhaust_its_reader_is_refused(tmp_path: Path) -> None:
    packed = as_zip(tmp_path / "ratio.zip", {"a.json": " " * 30_000_000})
    with pytest.raises(CorpusFormatError, match="more tightly packed than any study"):
        trials_of(packed)
    liar = as_zip(tmp_path / "liar.zip", {"a.json": json.dumps(study(1, summary="y" * 5000))})
    size = len(json.dumps(study(1, summary="y" * 5000)))
    assert liar.read_bytes().count(size.to_bytes(4, "little")) == 2
    liar.write_bytes(liar.read_bytes().replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(CorpusFormatError, match=r"liar.zip, member 'a.json': not readable"):
        trials_of(liar)
    content = as_zip(tmp_path / "overlap.zip", {f"{n}.json": json.dumps(study(n)) for n in range(3)})
    with zipfile.ZipFile(content) as archive:
        infos = archive.infolist()
        sizes = {info.compress_size.to_bytes(4, "little") for info in infos}
    data = content.read_bytes()
    for size in sizes:
        data = data.replace(size, (60_000).to_bytes(4, "little"))
    content.write_bytes(data)
    with pytest.raises(CorpusFormatError, match="members overlap"):
        trials_of(content)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zips_of_other_methods_are_refused(tmp_path: Path, method: int) -> None:
    as_zip(tmp_path / "x.zip", {"a.json": json.dumps(study(1))}, method)
    with pytest.raises(CorpusFormatError, match=r"member 'a.json': compressed by method 1[24]"):
        trials_of(tmp_path / "x.zip")


@pytest.mark.parametrize("damage", ["garbage", "cut", "encrypted", "flipped", "absent"])
def test_a_damaged_zip_is_refused(tmp_path: Path, damage: str) -> None:
    path = as_zip(tmp_path / "x.zip", {"a.json": json.dumps(study(1, detail="word " * 99))})
    data = bytearray(path.read_bytes())
    if damage == "encrypted":
        data[6] |= 1
        data[data.index(b"PK\1\2") + 8] |= 1
    elif damage == "flipped":
        data[200] ^= 255
    path.write_bytes({"garbage": b"PK" * 50, "cut": data[:-30]}.get(damage, bytes(data)))
    if damage == "absent":
        path.unlink()
    with pytest.raises(
        InputError, match=r"x.zip: (not a readable zip|cannot be read)|x.zip, member 'a.json': not readable"
    ):
        trials_of(path)


_JSON_PIECES = [
    *'{}[]":,03', "null", "true", "NaN", "1e999", "9" * 30, '"studies": ', '"protocolSection": {}', "[" * 50,
    '"nctId": "NCT00000002"', '"briefSummary": null', '"briefSummary": "\\ud800"', "\\", "\ufeff", "\n",
]  # fmt: skip


@pytest.mark.fuzz
@given(damaged(st.just(json.dumps([study(1), study(2, criteria=CRITERIA)])), _JSON_PIECES), st.booleans())
def test_a_hostile_file_of_trials_is_read_or_refused(folder: Path, content: str, packed: bool) -> None:
    path = folder / ("t.zip" if packed else "t.json")
    if packed:
        as_zip(path, {"NCT.json": content})
    else:
        path.write_text(content, encoding="utf-8")
    try:
        passages, _ = trials_of(path)
    except CorpusFormatError as error:
        assert str(path) in str(error)
    else:
        assert all(passage.text.encode() and passage.id.startswith("NCT") for passage in passages)
