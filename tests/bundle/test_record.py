"""The commit of the source is read from the files of git, and only in a checkout of the project."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from openmed_ner.bundle.record import source_commit

COMMIT, OTHER = "0123456789abcdef" * 2 + "01234567", "f" * 40


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout of the project without its git folder."""
    (tmp_path / "project/src/openmed_ner").mkdir(parents=True)
    (tmp_path / "project/pyproject.toml").touch()
    return tmp_path / "project"


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{content}\n")


def commit_of(root: Path) -> str | None:
    return source_commit(root / "src/openmed_ner")


def test_the_commit_is_that_of_the_branch_or_of_a_detached_head(root: Path) -> None:
    write(root / ".git/HEAD", "ref: refs/heads/a/b")
    assert commit_of(root) is None, "a branch without a commit"
    write(
        root / ".git/packed-refs", f"# pack-refs with: peeled\n{OTHER} refs/heads/a\n{COMMIT} refs/heads/a/b"
    )
    assert commit_of(root) == COMMIT
    write(root / ".git/refs/heads/a/b", OTHER)
    assert commit_of(root) == OTHER, "a branch in a file of its own is newer than the packed one"
    write(root / ".git/HEAD", COMMIT)
    assert commit_of(root) == COMMIT


def test_a_worktree_has_a_head_of_its_own_and_shared_branches(root: Path) -> None:
    write(root / ".git", "gitdir: ../main/.git/worktrees/project")
    git = root.parent / "main/.git"
    write(git / "HEAD", OTHER)
    write(git / "worktrees/project/HEAD", "ref: refs/heads/topic")
    write(git / "worktrees/project/commondir", "../..")
    write(git / "refs/heads/topic", COMMIT)
    assert commit_of(root) == COMMIT


@pytest.mark.parametrize("head", ["", "0123", "ref: refs/heads/none", "ref: ../../elsewhere"])
def test_an_unreadable_head_is_no_commit(root: Path, head: str) -> None:
    assert commit_of(root) is None, "no git folder"
    write(root / ".git/HEAD", head)
    assert commit_of(root) is None


def test_an_installed_package_has_no_commit_even_inside_another_checkout(root: Path) -> None:
    write(root / ".git/HEAD", COMMIT)
    package = root / ".venv/lib/python3/site-packages/openmed_ner"
    package.mkdir(parents=True)
    assert commit_of(root) == COMMIT and source_commit(package) is None
    (root / "pyproject.toml").unlink()
    assert commit_of(root) is None


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_says_the_same(root: Path) -> None:
    def git(*arguments: str) -> str:
        options = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(root))
        return subprocess.run(
            ["git", *options, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "first")
    assert commit_of(root) == git("rev-parse", "HEAD")
    git("pack-refs", "--all")
    assert commit_of(root) == git("rev-parse", "HEAD")
    git("commit", "-q", "--allow-empty", "-m", "second")
    git("worktree", "add", "-q", "--detach", str(root.parent / "tree"))
    tree = root.parent / "tree"
    (tree / "src/openmed_ner").mkdir(parents=True)
    (tree / "pyproject.toml").touch()
    assert commit_of(tree) == commit_of(root) == git("rev-parse", "HEAD")
