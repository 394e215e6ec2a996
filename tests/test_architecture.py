from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from itertools import product
from pathlib import Path

import pytest

import openmed_ner

PACKAGE = Path(openmed_ner.__file__).parent
LAYERS = (
    {"errors"},
    {"offline", "storage"},
    {"plots", "text"},
    {"data", "formats"},
    {"terminologies"},
    {"linking", "tagging"},
    {"corpora"},
    {"bundle"},
    {"evaluation", "model"},
    {"inference", "publish", "reports"},
    {"training"},
    {"integrations", "service"},
    {"api", "cli"},
    {"__main__"},
)
"""From the bottom up; a module may import only from layers below its own, or from its own package."""
HEAVY = (
    "torch",
    "transformers",
    "peft",
    "onnxruntime",
    "tokenizers",
    "codecarbon",
    "rich",
    "bioc",
    "lxml",
    "mcp",
    "negspacy",
    "pandas",
    "py3langid",
    "pyarrow",
    "ray",
    "rensa",
    "spacy",
)


def layer(package: str) -> int:
    return next(number for number, packages in enumerate(LAYERS) if package in packages)


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> set[str]:
    """Packages of ours that a file imports anywhere, function bodies included."""
    found = set()
    for node in ast.walk(parse(path)):
        names = (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
        found |= {name.split(".")[1] for name in names if name.startswith("openmed_ner.")}
    return found


def own_package(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path: Path) -> None:
    package = own_package(path)
    upward = {other for other in imports(path) - {package} if layer(other) >= layer(package)}
    assert not upward, f"{package} must not import {', '.join(sorted(upward))}"


def test_the_layer_test_would_notice(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text(
        "def f():\n    from openmed_ner.cli.main import app\n    import openmed_ner.training.engine.loop\n"
    )
    assert imports(file) == {"cli", "training"}
    assert layer("cli") > layer("training") > layer("text")


def test_the_page_on_architecture_lists_the_layers() -> None:
    page = (PACKAGE.parents[1] / "docs/architecture.md").read_text(encoding="utf-8")
    listed: dict[int, set[str]] = {}
    for number, packages in re.findall(r"^\| (\d+) \| ([^|]+) \|", page, re.MULTILINE):
        listed.setdefault(int(number), set()).update(re.findall(r"`(\w+)`", packages))
    assert listed == dict(enumerate(LAYERS[:-1], start=1))


def test_the_path_of_a_text_names_what_is_defined() -> None:
    page = (PACKAGE.parents[1] / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| `([\w/]+\.py)` \| `([\w.]+)` \|$", page, re.MULTILINE)
    assert len(rows) > 10
    for path, name in rows:
        scope: ast.AST = parse(PACKAGE / path)
        for part in name.split("."):
            definitions = {
                node.name: node
                for node in ast.iter_child_nodes(scope)
                if isinstance(node, ast.ClassDef | ast.FunctionDef)
            }
            assert part in definitions, f"{path} defines no {name}"
            scope = definitions[part]


def loaded_after(code: str) -> set[str]:
    """Which modules a fresh interpreter has loaded after running some code, torch being out of reach."""
    script = (
        "import sys\n"
        f"for name in {[name for name in HEAVY if name in ('torch', 'transformers', 'peft')]}:\n"
        "    sys.modules[name] = None\n"
        f"{code}\n"
        "print(*(name for name, module in sys.modules.items() if module is not None))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_after("import openmed_ner") & {*HEAVY, "numpy"}


def test_tagging_works_without_torch() -> None:
    loaded = loaded_after(
        "import openmed_ner\n"
        "found = openmed_ner.load()('Cisplatin caused nephrotoxicity.')\n"
        "assert found.spans, found\n"
        "import openmed_ner.cli.main"
    )
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "transformers", "peft"}


def test_tagging_a_file_imports_only_what_it_needs() -> None:
    loaded = loaded_after("import openmed_ner.cli.tag, openmed_ner.inference.loading")
    unneeded = {f"openmed_ner.{name}" for name in ("linking", "terminologies.compilation", "formats.bioc")}
    assert not loaded & {*HEAVY, *unneeded, "multiprocessing"}


def test_the_torch_free_packages_never_name_torch() -> None:
    free = (
        "bundle",
        "corpora",
        "data",
        "errors",
        "evaluation",
        "formats",
        "inference/attributes",
        "inference/jobs",
        "linking",
        "offline",
        "plots",
        "publish",
        "reports",
        "storage",
        "tagging",
        "terminologies",
        "text",
        "training/passages",
    )
    for path in MODULES:
        if path.relative_to(PACKAGE).as_posix().startswith(free):
            tree = parse(path)
            named = {
                alias.name.split(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.Import)
                for alias in node.names
            } | {
                (node.module or "").split(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom)
            }
            assert not named & {"torch", "transformers", "peft"}, path


def test_every_public_name_exists_and_is_listed_once() -> None:
    assert openmed_ner.__all__ == sorted(openmed_ner.__all__, key=lambda name: (name.islower(), name))
    for name in openmed_ner.__all__:
        assert getattr(openmed_ner, name).__doc__, name
    assert set(dir(openmed_ner)) == set(openmed_ner.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        openmed_ner.nonsense  # noqa: B018


def test_every_module_says_what_it_does() -> None:
    for path in MODULES:
        assert ast.get_docstring(parse(path)), path


def test_every_error_has_an_exit_status_and_a_place_in_the_drawing() -> None:
    errors = importlib.import_module("openmed_ner.errors")
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    ]
    assert kinds
    for kind, text in product(kinds, [errors.__doc__]):
        assert issubclass(kind, errors.OpenMedError) and kind.exit_status in (1, 2)
        assert text is not None and kind.__name__ in text


def test_nothing_reads_pickles_or_remote_code() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        for name in ("import pickle", "torch.load(", "trust_remote_code=True", "joblib"):
            assert name not in text, f"{path}: {name}"
