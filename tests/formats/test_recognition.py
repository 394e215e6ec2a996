from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmed_ner.errors import CorpusFormatError, InputError, UnreadFormatError
from openmed_ner.formats import REGISTRY, read_documents
from openmed_ner.formats.detection import judge
from openmed_ner.formats.discovery import iter_files
from openmed_ner.formats.recognition import HEAD, recognise
from openmed_ner.inference.jobs.inputs import find_inputs, iter_items
from openmed_ner.text import Document
from strategies import texts

TEXT = "Aspirin relieved the headache of 12 patients.\nNo nausea was seen.\n" * 3
LINE = json.dumps({"id": "1", "text": "Aspirin."})


def zipped(name: str) -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr(name, "x")
    return file.getvalue()


def tarred() -> bytes:
    with tarfile.open(fileobj=(file := io.BytesIO()), mode="w") as archive:
        archive.addfile(tarfile.TarInfo("note.txt"))
    return file.getvalue()


KINDS: dict[str, list[bytes | str]] = {
    "pubtator": ["1|t|Acute\n1|a|hepatitis", "\n\nPMC12|t|Acute\n", "\ufeff1|t|x\r\n1|a|y\r\n"],
    "medline": ["\nPMID- 10000001\nOWN - NLM\n", "PMID-10000001\n"],
    "ris": ["TY  - JOUR\nTI  - Aspirin\nER  - \n"],
    "postscript": ["%!PS-Adobe-3.0\n%%Title: x\n"],
    "vcard": ["BEGIN:VCARD\nVERSION:3.0\n", "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n"],
    "bibtex": ["@article{doe2020,\n title = {Aspirin}\n}\n"],
    "hl7": [
        "MSH|^~\\&|LAB|H|||2020||ORU^R01\rPID|1||123\rOBX|1|TX|||Aspirin\r",
        "\x0bMSH|^~\\&|LAB|H\rPID|1\r\x1c\r",
        "FHS|^~\\&|LAB\rBHS|^~\\&|LAB\rMSH|^~\\&|LAB\r",
    ],
    "fhir": [
        '{"resourceType": "Bundle", "entry": [{"resource": {}}]}',
        '{"resourceType": "Observation", "text": {"status": "generated"}}\n{"resourceType": "Patient"}\n',
        '{\n "resourceType": "Bundle",\n "type": "batch"',
        '<Bundle xmlns="http://hl7.org/fhir"><entry>',
        '<?xml version="1.0"?><Observation\n xmlns="http://hl7.org/fhir">',
    ],
    "cda": ['<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3">'],
    "odm": ['<?xml version="1.0"?><ODM xmlns="http://www.cdisc.org/ns/odm/v1.3">'],
    "records": ['<?xml version="1.0" ?>\n<records>\n<item><note>x</note></item></records>'],
    "webanno": ["#FORMAT=WebAnno TSV 3.3\n#T_SP=webanno.custom.Entity|value\n"],
    "brat-annotations": ["T1\tDisease 0 5\tacute\n", "T12\tDisease 0 5;8 9\tacute x\n", "E1\tBinding:T1\n"],
    "conll": [
        "-DOCSTART-\t1\t-\tO\n\nAspirin\t0\t7\tB-Chemical\n",
        "Aspirin\tB\nhelps\tO\n\nasthma\tB\n",
        "Aspirin NN B-Chemical\nhelps VB O\n",
        "-DOCSTART- -X- O O\n\nAspirin -X- _ B-Chemical\n",
    ],
    "csv": [
        "id,text\n1,Aspirin\n",
        "sep=;\r\nnote;date\r\n",
        "id|text\n1|Aspirin\n",
        "\ufefftext;label\nx;y\n",
        '"id"\t"text"\t"start"\n',
    ],
    "jsonl": [LINE, f"{LINE}\n{LINE}\n", '{"text": "' + "a" * 2 * HEAD, f"\ufeff{LINE}\n"],
    "bioc-json": [
        '{"documents": []}',
        '{\n "source": "PubTator",\n "infons": {"x": {"y": [1]}},\n "documents": [',
        '{"PubTator3": [{"id": "1"',
        '[{"documents": []}]',
        '{"_id": "1|None", "id": "1", "infons": {}, "passages": []}\n{"id": "2", "passages": []}\n',
    ],
    "bioc-xml": [
        "<?xml version='1.0' encoding='UTF-8'?><!DOCTYPE collection SYSTEM 'BioC.dtd'>\n<collection>",
        "<!-- a -->\n<collection/>",
        "\n \n<!-- a -->\n\n<collection>",
    ],
    "pubmed": [
        '<?xml version="1.0"?>\n<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January '
        '2025//EN" "https://dtd.nlm.nih.gov/pubmed_250101.dtd">\n<PubmedArticleSet>\n',
        "<PubmedArticleSet><PubmedArticle>",
        "\r\n\n<?xml version='1.0'?>\n<!-- a\n b -->\n<PubmedArticleSet>",
    ],
    "jats": ['<?xml version="1.0"?><article xmlns:xlink="x">', "<pmc-articleset><article>"],
    "xmi": ['<?xml version="1.0"?><xmi:XMI xmlns:xmi="http://www.omg.org/XMI">'],
    "xml": ['<?xml version="1.0"?>\n<!-- ' + "a" * HEAD],
    "other-xml": ['<?xml version="1.0"?><eSummaryResult>', "<Export xmlns='urn:a'><title>"],
    "html": [
        "<!DOCTYPE html><p>",
        "<html lang='en'>",
        "<!-- x --><HTML><body>",
        "<!doctype HTML PUBLIC 'x'>",
        '<div class="rich-text">\n<p>Aspirin</p></div>',
        "<P>Aspirin&nbsp;100 mg",
        "<body><p>Aspirin</p></body>",
    ],
    "email": [
        "Received: from a.org\nFrom: b@c.org\nTo: d@c.org\n\nAsthma.\n",
        "From: b@c.org\r\nSubject: Asthma\r\nMIME-Version: 1.0\r\n\r\nAsthma.\r\n",
        "From b@c.org Mon Jan 1 00:00:00 2024\nReturn-Path: <b@c.org>\n\nAsthma.\n",
        "Subject: Asthma\nContent-Type: multipart/mixed;\n boundary=x\nMessage-ID: <1@c.org>\n\n--x\n",
    ],
    "rtf": [r"{\rtf1\ansi Aspirin}"],
    "clinicaltrials": ['{"protocolSection": {"identificationModule": {}}}', '{"studies": [{'],
    "label-studio": [
        '[{"id": 1, "data": {"text": "Aspirin"}, "annotations": []}]',
        '[\n  {"id": 1, "text": "Aspirin", "label": [{"start": 0}]}]',
    ],
    "prodigy": ['{"text": "Aspirin", "spans": [], "_input_hash": 1, "answer": "accept"}\n'],
    "pubannotation": ['{\n "text": "Aspirin",\n "denotations": []}'],
    "json": ['[{"paragraphs": []}]', '{\n "text": "Aspirin"\n}', f"[\n{LINE},\n{LINE}\n]\n"],
    "json-lines": ['{"tokens": ["a"], "tags": [0]}\n', f'{{"text": "a"\n{LINE}\n', f"{LINE},\n{LINE},\n"],
    "lfs": ["version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"],
    "pdf": [b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "%PDF-1.4\n1 0 obj\n<< >>"],
    "docx": [zipped("word/document.xml")],
    "xlsx": [zipped("xl/workbook.xml")],
    "zip": [zipped("a.txt")],
    "tar": [tarred()],
    "gzip": [gzip.compress(b"x", mtime=0)],
    "bzip2": [b"BZh91AY&SY"],
    "xz": [b"\xfd7zXZ\x00\x00\x04"],
    "zstd": [b"\x28\xb5\x2f\xfd\x04"],
    "ole": [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"],
    "image": [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"],
    "binary": [
        b"\x7fELF\x02\x01\x01" + b"\0" * 80,
        b"\xca\xfe\xba\xbe\x00\x00\x00\x34",
        "Πυρετός, ρίγος.".encode("utf-16-le"),
    ],
    "encoding": [
        TEXT.encode(encoding)
        for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
    ],
    "cr": ["1|t|Acute\r1|a|hepatitis\r", "id,text\r1,Aspirin\r", f"{LINE}\r{LINE}\r"],
}
CASES = [(kind, content) for kind, contents in KINDS.items() for content in contents]
TEXTS = [
    "",
    TEXT,
    "Vitamin B\nHepatitis B\nBlood group O\n",
    "vitamin B-12\nvitamin B-6\n",
    "Text, with a comma\nid, of the patient\n",
    "text\nmore text\n",
    "{Name} was admitted. [Redacted] has asthma.",
    '"Aspirin" | t | x',
    "<b>Aspirin</b> and <patient> names",
    "<p> is the mean. <table 1 shows it.",
    "5 < 6\nM\tF\n",
    "aspirin\tM\nmetformin\tW\n",
    "a\0b",
    "Patient: asthma\rPlan: aspirin\r",
    "- no fever\n- cough\n",
    "From: Ward 3\nTo: Dr Smith\nSubject: asthma\nDate: 1 May\n\nThe patient has asthma.\n",
    "Received: fresh, labelled with the name\nDate: 1 May\n\nColon, biopsy.\n",
    "T1 tumour, 3 cm",
]


@pytest.mark.parametrize(("kind", "content"), CASES)
def test_a_file_is_recognised_by_its_first_bytes(kind: str, content: bytes | str) -> None:
    head = content.encode() if isinstance(content, str) else content
    found = recognise(head[:HEAD])
    assert found is not None and found.kind == kind
    assert found.description and (found.advice or kind in REGISTRY)


@pytest.mark.parametrize("text", TEXTS)
def test_running_text_is_not_taken_for_a_format(text: str) -> None:
    assert recognise(text.encode()) is None
    assert judge(text.encode(), "note.txt", source="x") == "text"


@given(text=texts)
def test_any_text_is_read_as_text_on_request(text: str) -> None:
    assert judge(text.encode()[:HEAD], "note", format="text", source="x") == "text"


marks = st.sampled_from([mark.encode() if isinstance(mark, str) else mark for _, mark in CASES])
pieces = marks | st.binary(max_size=20) | texts.map(str.encode)


@pytest.mark.fuzz
@given(content=st.lists(pieces, max_size=4).map(b"".join), cut=st.integers(0, 200))
def test_no_bytes_make_recognition_fail(content: bytes, cut: int) -> None:
    for head in (content[:HEAD], content[cut:HEAD]):
        found = recognise(head)
        assert found is None or found.description


@pytest.mark.parametrize(
    "piece", [b"<", b"<!--", b"<!DOCTYPE [", b"{", b"[", b'"', b"a ", b"\t", b"O\n", b"a O\n"]
)
def test_recognition_is_quick_whatever_a_file_repeats(piece: bytes) -> None:
    start = perf_counter()
    recognise((piece * HEAD)[:HEAD])
    recognise(b"<?xml?>" + (piece * HEAD)[:HEAD])
    assert perf_counter() - start < 20


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("CDR.PubTator.txt", KINDS["pubtator"][0], "pubtator"),
        ("right.ndjson", LINE, "jsonl"),
        ("right.json", f"{LINE}\n{LINE}", "jsonl"),
        ("table.tsv", "id\ttext\n1\tAspirin\n", "csv"),
        ("tags.tsv", KINDS["conll"][1], "conll"),
        ("tags.iob", KINDS["conll"][1], "conll"),
        ("efetch.xml", KINDS["pubmed"][0], "pubmed"),
        ("pubmed25n0001.xml", KINDS["bioc-xml"][0], "bioc-xml"),
        ("trials.json", KINDS["clinicaltrials"][0], "clinicaltrials"),
        ("ctg-studies.json.zip", KINDS["zip"][0], "clinicaltrials"),
        ("a.xml", KINDS["xml"][0], "bioc-xml"),
        ("export.tsv", 'patient\tnote\n1\t"Aspirin.\nNo asthma."\n', "tsv"),
        ("tags.tsv", "Aspirin\tO\nasthma\tDisease\n", "conll"),
        ("tags.tsv", "", "conll"),
        *(("a.jsonl", content, "jsonl") for content in KINDS["json-lines"]),
        ("a.jsonl", '{"resourceType": "note", "text": "Aspirin."}\n', "jsonl"),
        ("", KINDS["csv"][0], "csv"),
        *((name, KINDS[name][0], name) for name in ("jats", "xmi", "medline", "webanno", "label-studio")),
        ("export.jsonl", KINDS["prodigy"][0], "prodigy"),
        ("export.json", KINDS["pubannotation"][0], "pubannotation"),
        ("", "Aspirin.", "text"),
        (".note.txt", "Aspirin.", "text"),
    ],
)
def test_the_content_decides_before_the_name(name: str, content: bytes | str, expected: str) -> None:
    head = content.encode() if isinstance(content, str) else content
    assert judge(head, name, source="x") == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", KINDS["pdf"][1], "x: is a PDF document, which is not read; extract its text"),
        ("a.txt", KINDS["encoding"][0], "x: is in UTF-16, which is not read; convert it: iconv -f utf-16 "),
        ("a.txt", KINDS["encoding"][1], "iconv -f utf-16le"),
        ("a.docx", KINDS["docx"][0], "x: is a Word document"),
        ("a.txt", KINDS["html"][0], "or read it as plain text: --from text"),
        ("a.xml", KINDS["other-xml"][0], "x: is XML with the root <eSummaryResult>, which is not read"),
        ("a.json", KINDS["fhir"][0], "x: is resources of FHIR, which is not read; write its texts as JSON"),
        ("a.xml", KINDS["records"][0], "export it as CSV, and name the column of the texts: --text-column"),
        (
            "a.jsonl",
            KINDS["json"][2],
            "keys id, text, which is not read; write one object with a text per",
        ),
        ("a.jsonl", f"[{LINE}]", "jq -c '.[]' FILE"),
        ("a.jsonl", '{\n "text": "Aspirin."\n}\n', "jq -c . FILE"),
        ("a.txt.gz", KINDS["gzip"][0], "x: is compressed twice by gzip, which is not read; unpack it once"),
        ("a.txt", KINDS["cr"][0], "x: is PubTator whose lines end in CR alone"),
        ("a.log", "Aspirin.", "x: unknown format: found the suffix '.log'"),
        ("note", "Aspirin.", "x: unknown format: found a name without suffix"),
    ],
)
def test_what_is_not_read_is_refused_with_the_way_out(name: str, content: bytes | str, message: str) -> None:
    head = content.encode() if isinstance(content, str) else content
    with pytest.raises(UnreadFormatError) as error:
        judge(head, name, source="x")
    assert message in str(error.value)


@pytest.mark.parametrize("kind", ["pdf", "zip", "encoding", "binary", "gzip"])
def test_a_format_that_is_named_does_not_turn_bytes_into_text(kind: str) -> None:
    content = KINDS[kind][0]
    assert isinstance(content, bytes)
    with pytest.raises(UnreadFormatError):
        judge(content, "a.txt", format="text", source="x")


def test_a_named_format_is_taken_at_its_word() -> None:
    html = KINDS["html"][0]
    assert isinstance(html, str)
    assert judge(html.encode(), "a.html", format="text", source="x") == "text"
    assert judge(b"Vitamin B\n", "a", format="conll", source="x") == "conll"


# --- the readers of files ask first


def test_gold_is_not_read_as_plain_text(tmp_path: Path) -> None:
    (tmp_path / "gold.foo").write_text("Aspirin.")
    with pytest.raises(UnreadFormatError, match="unknown format"):
        list(read_documents(tmp_path / "gold.foo"))
    (document,) = read_documents(tmp_path / "gold.foo", format="text")
    assert document.text == "Aspirin."
    (tmp_path / "efetch.xml").write_text("<PubmedArticleSet></PubmedArticleSet>")
    with pytest.raises(CorpusFormatError, match="is pubmed, which has no annotations"):
        list(read_documents(tmp_path / "efetch.xml"))
    with pytest.raises(InputError, match="is a folder"):
        list(read_documents(tmp_path))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_compressed_files_are_recognised_too(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / ("a.txt" if pack is bytes else "a.txt.gz")
    path.write_bytes(pack(b"1|t|Acute\n1\t0\t5\tAcute\tDisease\n"))
    (document,) = read_documents(path)
    assert (document.id, len(document.spans)) == ("1", 1)
    path.write_bytes(b"")
    if pack is not bytes:
        with pytest.raises(CorpusFormatError, match="damaged: the file is empty"):
            list(read_documents(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_read_from_its_first_byte(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    writer = Thread(target=(tmp_path / "a.jsonl").write_text, args=(f"{LINE}\n" * 2,))
    writer.start()
    assert [document.text for document in read_documents(tmp_path / "a.jsonl")] == ["Aspirin."] * 2
    writer.join()


def write_files(folder: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def read_ids(*paths: Path, **options: object) -> list[str]:
    items = iter_items(find_inputs(paths, **options))  # type: ignore[arg-type]
    return [item.content.id for item in items if isinstance(item.content, Document)]


def test_a_folder_passes_over_what_it_cannot_read_and_says_so(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": b"x", "b.pdf": b"%PDF-1.7", "c": b"x", "d.xml": b"<PubmedArticleSet/>"})
    (tmp_path / ".hidden").touch()
    inputs = find_inputs([tmp_path])
    assert [(entry.name, entry.format, entry.finding) for entry in inputs] == [
        ("a.txt", "text", None),
        ("b.pdf", "none", "a PDF document"),
        ("c", "none", "of unknown format"),
        ("d.xml", "pubmed", None),
    ]
    reasons = [getattr(item.content, "reason", None) for item in iter_items(inputs)]
    assert reasons == [None, "file: a PDF document", "file: of unknown format"]
    assert [path.name for path, _, kind in iter_files([tmp_path]) if kind] == ["a.txt", "d.xml"]


def test_a_file_whose_name_promises_a_known_format_is_an_error_wherever_it_is_found(tmp_path: Path) -> None:
    contents = {"a.txt": b"x", "b.txt": TEXT.encode("utf-16"), "c.pdf": b"%PDF-1.7"}
    contents["d.jsonl"] = b'[{"id": "1", "text": "x"}]'
    contents["e.xml"] = b"<?xml version='1.0'?><Export/>"
    write_files(tmp_path, contents)
    for path in (tmp_path, tmp_path / "*"):
        kinds = {
            Path(item.name).name: type(item.content).__name__ for item in iter_items(find_inputs([path]))
        }
        assert kinds.pop("a.txt") == "Document" and kinds.pop("c.pdf") == "Skipped"
        assert kinds == dict.fromkeys(("b.txt", "d.jsonl", "e.xml"), "InputError")


def test_a_file_that_is_named_and_not_read_is_an_error(tmp_path: Path) -> None:
    write_files(tmp_path, {"b.pdf": b"%PDF-1.7", "c": b"x"})
    items = iter_items(find_inputs([tmp_path / "b.pdf", tmp_path / "c"]))
    assert [isinstance(item.content, InputError) for item in items] == [True, True]


def test_a_named_format_reads_every_file_of_a_folder(tmp_path: Path) -> None:
    write_files(tmp_path, {"note_1": b"x", "note.2": b"y", "scan.png": b"\x89PNG"})
    assert read_ids(tmp_path, format="text") == ["note.2", "note_1"]
    with pytest.raises(InputError, match="found 2 of unknown format, 1 an image"):
        find_inputs([tmp_path])


def test_files_of_several_folders_have_names_that_differ(tmp_path: Path) -> None:
    write_files(tmp_path, {"ward1/n1.txt": b"x", "ward2/n1.txt": b"y"})
    assert read_ids(tmp_path / "ward1") == ["n1.txt"]
    folders = [tmp_path / "ward1", tmp_path / "ward2"]
    assert read_ids(*folders) == [f"{folder}/n1.txt" for folder in folders]
    for folder in folders:
        (folder / "n1.ann").touch()
    assert read_ids(*folders, format="brat") == [f"{folder}/n1" for folder in folders]


def test_a_search_does_not_find_what_the_run_writes(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.txt": b"x", "out.jsonl": LINE.encode(), "run/part-00000.jsonl": LINE.encode()})
    outputs = [tmp_path / "out.jsonl", tmp_path / "run"]
    assert read_ids(tmp_path, outputs=outputs) == ["a.txt"]
    assert read_ids(tmp_path / "*.jsonl", tmp_path / "a.txt", outputs=outputs) == [str(tmp_path / "a.txt")]


def test_brackets_in_the_name_of_a_folder_stand_for_themselves(tmp_path: Path) -> None:
    write_files(tmp_path, {"w[2]/n1.txt": b"x"})
    assert read_ids(tmp_path / "w[2]/*.txt") == [str(tmp_path / "w[2]/n1.txt")]
