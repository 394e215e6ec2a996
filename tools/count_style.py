"""Count how plainly the project reads: names, docstrings, white space, comments, prose, imports.

    python tools/count_style.py [--list FIGURE]

Prints one line per package; the last line, JSON, is for the whole project. ``--list names`` (or
``docstrings``, ``bodies``, ``descriptions``, ``imports``, ``semicolons``) prints every place that
counts against a figure. Figures come from parsing the source, tests excluded; nothing is imported.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import re
import statistics
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/openmed_ner"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
_WORDS = (
    "each found own held taken wanted ours taught learnt told asked what how where made kept known "
    "here there again whose beneath others"
)
FUNCTION_WORDS = frozenset(_WORDS.split())
"""Words that are no names."""
QUESTIONS = ("What", "Whether", "How", "Why", "Where")
"""Words that no docstring should open with."""
LONG_BODY = 20
"""Lines from which a body should have a blank line between its steps."""
_DESCRIPTION = re.compile(r"^\s+(?P<name>\*{0,2}\w+): (?P<text>.+)$")
_VAGUE = re.compile(r"(of|what|how|whether|that|where|which|those|as|if possible)\b", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#\s*(type:|noqa|fmt:|!)")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Figures:
    """Counts of one package; ``places`` lists what counts against each figure."""

    lines: int = 0
    comments: int = 0
    names: int = 0
    function_words: int = 0
    docstrings: int = 0
    questions: int = 0
    descriptions: int = 0
    vague: int = 0
    long_bodies: int = 0
    solid_bodies: int = 0
    hidden_imports: int = 0
    missing_module: int = 0
    untyped: int = 0
    lengths: list[int] = field(default_factory=list)
    places: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, other: Figures) -> None:
        """Add the counts of another package."""
        for name, value in vars(other).items():
            if name == "places":
                for figure, places in value.items():
                    self.places[figure] += places
            else:
                setattr(self, name, getattr(self, name) + value)

    def summary(self) -> dict[str, float]:
        """Shares and rates, as the project's goals name them."""
        return {
            "lines": self.lines,
            "function_words_percent": _percent(self.function_words, self.names),
            "question_docstrings_percent": _percent(self.questions, self.docstrings),
            "vague_descriptions": self.vague,
            "solid_long_bodies_percent": _percent(self.solid_bodies, self.long_bodies),
            "comments_per_1000_lines": round(1000 * self.comments / max(1, self.lines), 1),
            "own_imports_in_functions": self.hidden_imports,
            "except_module_not_found": self.missing_module,
            "untyped_functions": self.untyped,
            "median_function_lines": statistics.median(self.lengths) if self.lengths else 0,
        }


def count_file(path: Path) -> Figures:
    """Count one module."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    tree = ast.parse(text)
    place = path.relative_to(ROOT).as_posix()
    figures = Figures(lines=len(lines))

    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and not _DIRECTIVE.match(token.string):
            figures.comments += 1

    for node in ast.walk(tree):
        if isinstance(node, Function | ast.ClassDef | ast.Module):
            _count_docstring(node, place, figures)
        if isinstance(node, Function):
            _count_function(node, lines, place, figures)
        if isinstance(node, ast.ExceptHandler) and "ModuleNotFoundError" in ast.dump(node.type or node):
            figures.missing_module += 1
    return figures


def _count_docstring(node: Function | ast.ClassDef | ast.Module, place: str, figures: Figures) -> None:
    docstring = ast.get_docstring(node)
    if not docstring:
        return
    where = f"{place}:{getattr(node, 'lineno', 1)}"
    figures.docstrings += 1
    if docstring.split()[0].rstrip(",:") in QUESTIONS:
        figures.questions += 1
        figures.places["docstrings"].append(f"{where}: {docstring.splitlines()[0]}")

    in_section = False
    for line in docstring.splitlines():
        if re.match(r"^(Args|Attributes|Returns|Yields|Raises):$", line):
            in_section = line in ("Args:", "Attributes:")
        elif in_section and (match := _DESCRIPTION.match(line)) and not line.startswith(" " * 5):
            figures.descriptions += 1
            if _VAGUE.match(match["text"]):
                figures.vague += 1
                figures.places["descriptions"].append(f"{where}: {line.strip()}")


def _count_function(node: Function, lines: list[str], place: str, figures: Figures) -> None:
    where = f"{place}:{node.lineno} {node.name}"
    names = set(_iter_names(node))
    poor = sorted(names & FUNCTION_WORDS)
    figures.names += len(names)
    figures.function_words += len(poor)
    if poor:
        figures.places["names"].append(f"{where}: {', '.join(poor)}")

    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    typed = all(argument.annotation for argument in arguments if argument.arg not in ("self", "cls"))
    figures.untyped += not (typed and node.returns)

    body = node.body[1:] if ast.get_docstring(node) else node.body
    if not body:
        return
    first, last = body[0].lineno, body[-1].end_lineno or body[-1].lineno
    figures.lengths.append(last - first + 1)
    if last - first + 1 >= LONG_BODY:
        figures.long_bodies += 1
        if all(line.strip() for line in lines[first - 1 : last]):
            figures.solid_bodies += 1
            figures.places["bodies"].append(f"{where}: {last - first + 1} lines")

    for child in ast.walk(node):
        if isinstance(child, ast.ImportFrom) and (child.module or "").startswith("openmed_ner"):
            figures.hidden_imports += 1
            figures.places["imports"].append(f"{where}: {child.module}")


def _iter_names(node: Function) -> Iterator[str]:
    """Yield the parameters and assigned locals of a function, without those of functions inside it."""
    arguments = node.args
    optional = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *optional]:
        yield argument.arg
    pending: list[ast.AST] = list(node.body)
    while pending:
        child = pending.pop()
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        if not isinstance(child, Function | ast.ClassDef):
            pending.extend(ast.iter_child_nodes(child))


def count_prose(path: Path) -> tuple[int, int, list[str]]:
    """Count sentences and semicolons of a page without its code, tables, headings and comments."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"<!-- table: .*?<!-- end -->", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    rows = [row for row in text.splitlines() if not row.lstrip().startswith(("|", "#"))]
    prose = re.sub(r"`[^`]*`", "code", "\n".join(rows))
    sentences = len(re.findall(r"[.!?:](?:\s|$)", prose))
    places = [f"{path.relative_to(ROOT)}: {row.strip()}" for row in prose.splitlines() if ";" in row]
    return sentences, prose.count(";"), places


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--list", metavar="FIGURE", help="print every place that counts against a figure")
    parser.add_argument("--only", metavar="FOLDER", default="", help="packages whose path begins so")
    options = parser.parse_args()

    packages: dict[str, Figures] = defaultdict(Figures)
    whole = Figures()
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.parent.relative_to(SOURCE).as_posix()
        if name.startswith(options.only):
            figures = count_file(path)
            packages[name].add(figures)
            whole.add(figures)

    sentences = semicolons = 0
    for page in PAGES:
        n_sentences, n_semicolons, places = count_prose(page)
        sentences, semicolons = sentences + n_sentences, semicolons + n_semicolons
        whole.places["semicolons"] += places

    if options.list:
        print("\n".join(whole.places[options.list]))
        return
    for name, figures in packages.items():
        print(f"{name:28}", *(f"{key} {value:g}" for key, value in figures.summary().items() if value))
    largest = Counter({path.as_posix(): len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")})
    record = {
        **whole.summary(),
        "semicolons_per_100_sentences": round(100 * semicolons / max(1, sentences), 1),
        "largest_module_lines": largest.most_common(1)[0][1],
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
