"""``tag`` and ``evaluate`` on files of any kind: nothing is passed over in silence."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from commands import call_main

TEXT = "Cisplatin caused nephrotoxicity."
GOLD = {
    "id": "1",
    "text": TEXT,
    "label": [[0, 9, "Chemical"], [17, 31, "Disease"]],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


def run(*words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """The exit status and both outputs of a command."""
    stdout, stderr = io.BytesIO(), io.BytesIO()
    status = call_main(["openmed-ner", *words], stdin, stdout, stderr)
    return status, stdout.getvalue().decode(), stderr.getvalue().decode()


def write(contents: dict[str, str | bytes]) -> None:
    for name, content in contents.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


def ids(output: str) -> list[str]:
    return [json.loads(line)["id"] for line in output.splitlines()]


def test_what_is_passed_over_is_counted_in_the_last_line() -> None:
    bad = {"id": "x", "text": TEXT, "spans": [{"start": 0, "end": 99, "label": "X"}] * 5}
    write({"in/a.txt": TEXT, "in/b.pdf": b"%PDF-1.7", "in/c": TEXT, "in/d.jsonl": json.dumps(bad)})
    status, output, messages = run("tag", "in", "--to", "jsonl", "--receipt", "receipt.json")
    assert (status, ids(output)) == (0, ["a.txt", "x"])
    *warnings, last = messages.splitlines()
    assert last.endswith(
        "; passed over: annotation that does not fit its text (5), file: a PDF document (1), "
        "file: of unknown format (1)"
    )
    assert sum("d.jsonl, line 1: span 0..99" in warning for warning in warnings) == 3
    receipt = json.loads(Path("receipt.json").read_text())
    assert (receipt["complete"], sum(receipt["skipped"].values())) == (True, 7)


def test_a_named_file_that_is_not_read_is_an_error_and_the_others_are_tagged() -> None:
    write({"a.txt": TEXT, "b.pdf": b"%PDF-1.7", "c.txt": TEXT.encode("utf-16")})
    status, output, messages = run("tag", "b.pdf", "c.txt", "a.txt", "--to", "jsonl")
    assert (status, ids(output)) == (1, ["a.txt"])
    assert "b.pdf: is a PDF document, which is not read; extract its text" in messages
    assert "c.txt: is in UTF-16, which is not read; convert it: iconv -f utf-16 -t utf-8" in messages
    assert messages.endswith("1 document tagged, 2 errors\n")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"id": "7", "text": "Aspirin."}\n', ["7"]),
        (b"id,text\n7,Aspirin.\n8,Ibuprofen.\n", ["7", "8"]),
        (b"7|t|Aspirin.\n7|a|It helps.\n", ["7"]),
        (b"Aspirin, for pain.\n", ["stdin"]),
    ],
)
def test_standard_input_is_recognised(content: bytes, expected: list[str]) -> None:
    status, output, _ = run("tag", "--to", "jsonl", stdin=content)
    assert (status, ids(output)) == (0, expected)


def test_standard_input_that_is_not_read_is_refused() -> None:
    status, output, messages = run("tag", "--to", "jsonl", stdin=b"%PDF-1.7\n")
    assert (status, output) == (1, "")
    assert "stdin: is a PDF document" in messages


def test_the_output_format_is_told_by_the_name() -> None:
    write({"a.txt": TEXT})
    for name, start in (
        ("a.csv", '"id","text"'),
        ("a.json", '{"bioctype"'),
        ("a.html", "<!doctype"),
        ("a", "a.txt"),
    ):
        assert run("tag", "a.txt", "-o", f"out-{name}")[0] == 0
        assert Path(f"out-{name}").read_text().startswith(start)
    status, _, messages = run("tag", "a.txt", "-o", "out.xlsx")
    assert status == 2 and "'.xlsx' is the suffix of no output format" in messages


def test_a_second_run_does_not_tag_the_output_of_the_first() -> None:
    write({"a.txt": TEXT})
    for _ in range(2):
        assert run("tag", ".", "-o", "out.jsonl")[0] == 0
        assert ids(Path("out.jsonl").read_text()) == ["a.txt"]


# --- evaluation on files


def test_gold_of_several_types_can_be_scored_by_type_and_other_labels_be_mapped() -> None:
    drug = {**GOLD, "label": [[0, 9, "DRUG"]]}
    write({"gold.jsonl": json.dumps(GOLD), "drugs.jsonl": json.dumps(drug)})
    head = ("--head", "bc5cdr-chemical")
    status, _, messages = run("evaluate", "--data", "gold.jsonl", *head)
    assert status == 2 and "has no label 'Disease'" in messages and "--types" in messages
    for options in (
        ("--data", "gold.jsonl", "--types", "Chemical"),
        ("--data", "drugs.jsonl", "--map", "Chemical=DRUG"),
        ("--gold", "gold.jsonl", "--predicted", "gold.jsonl", "--types", "Chemical"),
    ):
        status, _, messages = run("evaluate", *options, *head, "--json", "scores.json")
        assert status == 0, messages
        (result,) = json.loads(Path("scores.json").read_text())["results"]
        assert len(result["per_label"]) == 1
        assert result["micro"]["tp"] + result["micro"]["fn"] == 1


@pytest.mark.parametrize("content", ["", json.dumps({"text": TEXT}), json.dumps({**GOLD, "label": ["x"]})])
def test_nothing_is_scored_without_a_gold_mention(content: str) -> None:
    write({"gold.jsonl": content, "theirs.jsonl": json.dumps(GOLD)})
    for options in (("--head", "bc5cdr-chemical"), ("--predicted", "theirs.jsonl")):
        status, output, messages = run("evaluate", "--gold", "gold.jsonl", *options)
        assert (status, output) == (2, "")
        assert "found no gold mention" in messages and "nothing to score" in messages


def test_invalid_gold_documents_can_be_left_out() -> None:
    bad = {"id": "2", "text": TEXT, "label": [[0, 99, "Chemical"]]}
    write({"gold.jsonl": "".join(json.dumps(line) + "\n" for line in (GOLD, bad, {"id": "3"}))})
    write({"theirs.jsonl": "".join(json.dumps({**GOLD, "id": name}) + "\n" for name in "123")})
    command = ("evaluate", "--gold", "gold.jsonl", "--predicted", "theirs.jsonl")
    status, _, messages = run(*command)
    assert status == 2 and "gold.jsonl, line 2: span 0..99" in messages
    status, output, messages = run(*command, "--skip-invalid")
    assert status == 0 and "F1 100.00" in output and "1 documents" in output
    assert (
        "left out: 1 documents with bad annotations, 1 bad records; the first: gold.jsonl, line 2" in messages
    )


BAD = {"text": TEXT, "spans": [{"start": 0, "end": 99, "label": "Chemical"}]}


def test_a_bad_prediction_leaves_its_document_out_on_both_sides() -> None:
    good = [{**GOLD, "id": name} for name in "1345"]
    extra = {"text": TEXT, "spans": [{"start": 0, "end": 7, "label": "Other"}], "id": "4"}
    write({"gold.jsonl": as_lines(*good[:2], {**BAD, "id": "4"}, good[3])})
    write({"theirs.jsonl": as_lines(good[0], {**BAD, "id": "3"}, extra, good[3])})
    for gold, theirs, count in (("gold", "theirs", 2), ("gold", "gold", 3), ("theirs", "theirs", 3)):
        command = ("evaluate", "--gold", f"{gold}.jsonl", "--predicted", f"{theirs}.jsonl")
        assert run(*command)[0] == 2
        status, output, messages = run(*command, "--skip-invalid")
        assert status == 0 and "F1 100.00" in output and f"{count} documents" in output, messages
        n_bad = 1 if gold == theirs else 2
        assert f"left out: {n_bad} documents with bad annotations, 0 bad records" in messages
    status, output, messages = run(
        *("evaluate", "--gold", "gold.jsonl", "--compare", "theirs.jsonl", "gold.jsonl", "--skip-invalid")
    )
    assert status == 0 and "F1 100.00 against 100.00" in output, messages
    assert "left out: 2 documents with bad annotations, 0 bad records" in messages


def test_documents_without_ids_are_paired_by_their_texts_if_some_are_left_out() -> None:
    texts = [{**GOLD, "text": f"{TEXT} {number}"} for number in (1, 2, 2, 3)]
    for entry in texts:
        del entry["id"]
    write({"gold.jsonl": as_lines(*texts), "theirs.jsonl": as_lines("no", *texts[1:])})
    command = ("evaluate", "--gold", "gold.jsonl", "--predicted", "theirs.jsonl", "--skip-invalid")
    status, output, messages = run(*command)
    assert status == 0 and "F1 100.00" in output and "3 documents" in output, messages
    # More documents are missing than were left out.
    write({"theirs.jsonl": as_lines("no", *texts[2:])})
    status, output, messages = run(*command)
    assert status == 2 and "has no counterpart" in messages
    write({"theirs.jsonl": as_lines(BAD)})
    status, output, messages = run(*command)
    assert status == 2


def as_lines(*records: object) -> str:
    return "".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records)


def test_an_empty_argument_is_no_folder() -> None:
    write({"a.txt": TEXT})
    for words, empty in (
        (["tag", ""], "An argument"),
        (["tag", "a.txt", "--output="], "The value of --output"),
        (["tag", "a.txt", "--bundle", ""], "The value of --bundle"),
    ):
        status, output, messages = run(*words)
        assert (status, output) == (2, "")
        assert f"{empty} is empty" in messages


def test_an_output_replaces_no_input_of_another_format() -> None:
    write({"a.txt": TEXT})
    status, _, messages = run("tag", "a.txt", "--to", "jsonl", "-o", "a.txt")
    assert (status, Path("a.txt").read_text()) == (2, TEXT)
    assert "--output a.txt is the file of an input" in messages
    assert run("tag", "a.txt", "-o", "a.jsonl")[0] == 0
    assert run("tag", "a.jsonl", "-o", "a.jsonl")[0] == 0
    assert ids(Path("a.jsonl").read_text()) == ["a.txt"]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_a_full_disk_is_named_with_its_file() -> None:
    write({"a.txt": TEXT})
    assert run("tag", "a.txt", "-o", "/dev/full", "--to", "jsonl")[::2] == (
        1,
        "openmed-ner: cannot write /dev/full: No space left on device\n",
    )


def test_two_files_without_ids_are_compared() -> None:
    rows = "Aspirin\tB-X\nhelps\tO\n\nNo\tO\nasthma\tB-Y\n"
    write({"gold/test.tsv": rows, "mine/test.tsv": rows.replace("B-X", "O")})
    status, output, _ = run("evaluate", "--gold", "gold/test.tsv", "--predicted", "mine/test.tsv")
    assert status == 0 and "P 100.00  R 50.00" in output


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.xml"])
def test_a_file_without_documents_is_told(name: str) -> None:
    write({"a.json": "[]", "a.jsonl": "\n", "a.xml": "<PubmedArticleSet></PubmedArticleSet>"})
    assert run("tag", name) == (0, "", "openmed-ner: 0 documents tagged, 0 entities\n")


@pytest.mark.parametrize("source", [(), ("--from", "text")])
def test_files_of_hidden_folders_are_left_out(source: tuple[str, ...]) -> None:
    write({"in/a.txt": TEXT, "in/.ipynb_checkpoints/a-checkpoint.txt": TEXT, "in/s/.git/b.txt": TEXT})
    write({".hidden/in/a.txt": TEXT})
    for folder in ("in", ".hidden/in"):
        status, output, _ = run("tag", folder, "--to", "jsonl", *source)
        assert (status, ids(output)) == (0, ["a.txt"])


@pytest.mark.parametrize(
    "paths", [("in", "in/"), ("in/a.txt", "in/a.txt"), ("in", "in/a.txt"), ("in/*", "in/../in/a.txt")]
)
def test_a_file_that_is_named_twice_is_read_once(paths: tuple[str, ...]) -> None:
    write({"in/a.txt": TEXT})
    status, output, messages = run("tag", *paths, "--to", "jsonl")
    assert status == 0 and len(ids(output)) == 1
    assert messages.endswith("passed over: file: named twice (1)\n")


def test_languages_are_codes_of_three_letters() -> None:
    record = (
        "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>1</PMID><Article><ArticleTitle>"
        f"{TEXT}</ArticleTitle><Language>eng</Language></Article></MedlineCitation></PubmedArticle>"
        "</PubmedArticleSet>"
    )
    write({"a.xml": record})
    status, output, _ = run("tag", "a.xml", "--languages", "ENG", "--to", "jsonl")
    assert (status, ids(output)) == (0, ["pubmed:1"])
    status, _, messages = run("tag", "a.xml", "--languages", "eng,English", "--to", "jsonl")
    assert status == 2 and "such as eng, found 'English'" in messages


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        (("A=B", "A=C"), "--map 'A=C': 'A' has two new names, 'B' and 'C'"),
        (("=B",), "--map '=B': expected OLD=NEW"),
        (("A",), "--map 'A': expected OLD=NEW"),
    ],
)
def test_a_label_is_renamed_once(pairs: tuple[str, ...], problem: str) -> None:
    write({"gold.jsonl": json.dumps(GOLD)})
    words = [word for pair in pairs for word in ("--map", pair)]
    status, _, messages = run("evaluate", "--gold", "gold.jsonl", "--predicted", "gold.jsonl", *words)
    assert status == 2 and problem in messages


def test_blanks_around_a_renamed_label_do_not_count() -> None:
    predicted = {**GOLD, "label": [[0, 9, "Drug"], [17, 31, "Disease"]]}
    write({"gold.jsonl": json.dumps(GOLD), "predicted.jsonl": json.dumps(predicted)})
    words = ("--gold", "gold.jsonl", "--predicted", "predicted.jsonl", "--map", "Drug = Chemical")
    status, output, _ = run("evaluate", *words)
    assert status == 0 and "F1 100.00" in output


@pytest.mark.parametrize("option", ["--output", "--receipt", "--errors"])
def test_no_output_is_named_as_a_compressed_file(option: str) -> None:
    write({"a.txt": TEXT})
    for target in ((), ("--to", "jsonl")):
        status, _, messages = run("tag", "a.txt", option, "out.jsonl.gz", *target)
        assert status == 2 and "outputs are not compressed; write out.jsonl, then run gzip on it" in messages
        assert not Path("out.jsonl.gz").exists()


def test_a_renamed_label_that_no_head_has_is_named() -> None:
    chemicals = {**GOLD, "label": [[0, 9, "Chemical"]]}
    write({"gold.jsonl": json.dumps(chemicals)})
    status, _, messages = run(
        *("evaluate", "--data", "gold.jsonl", "--head", "bc5cdr-chemical", "--map", "chemical=Drug")
    )
    assert status == 0
    assert "has the label 'chemical'; did you mean Chemical?" in messages


def test_a_clinic_note_is_told_once_unless_quiet() -> None:
    note = "CC: cough\nHPI: 58 y/o M c/o cough, denies fever.\nMeds: lisinopril 20 mg daily\n"
    write({"in/a.txt": note, "in/b.txt": note})
    status, output, messages = run("tag", "in")
    assert (status, messages.count("a.txt reads like a clinic note")) == (0, 1)
    assert messages.count("reads like") == 1 and "docs/notes.md" in messages
    assert run("tag", "in", "--quiet") == (0, output, "")
    write({"in/a.txt": TEXT, "in/b.txt": TEXT})
    assert run("tag", "in")[2] == ""


@pytest.mark.parametrize("target", ["csv", "tsv", "jsonl"])
def test_the_texts_can_be_left_out(target: str) -> None:
    write({"in/a.txt": TEXT})
    status, output, _ = run("tag", "in", "--to", target, "--no-text")
    assert (status, "Cisplatin" in output, "caused" in output) == (0, True, False)
    assert "caused" in run("tag", "in", "--to", target)[1]


def test_formats_that_are_made_of_texts_refuse_to_leave_them_out() -> None:
    write({"in/a.txt": TEXT})
    status, _, messages = run("tag", "in", "--to", "pubtator", "--no-text")
    assert status == 2 and "--no-text is for jsonl, csv, tsv; --to pubtator has no such form" in messages


def test_a_run_is_not_resumed_with_other_columns() -> None:
    write({"in/a.txt": TEXT, "in/b.txt": TEXT})
    words = ("tag", "in", "--to", "csv", "--shard", "1", "-o", "out")
    assert run(*words, "--no-text")[0] == 0
    assert "caused" not in Path("out/part-00000.csv").read_text()
    status, _, messages = run(*words, "--resume")
    assert status == 2 and "text False, not True" in messages


def test_a_run_is_not_resumed_without_an_option_it_had() -> None:
    write({"in/a.txt": TEXT})
    words = ("tag", "in", "--to", "jsonl", "--shard", "1", "-o", "out")
    assert run(*words)[0] == 0
    plan = json.loads(Path("out/plan.json").read_text())
    plan["options"]["added later"] = 1
    Path("out/plan.json").write_text(json.dumps(plan))
    status, _, messages = run(*words, "--resume")
    assert status == 2 and "added later 1, not None" in messages
