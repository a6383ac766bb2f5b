"""A git diff, made by git itself, in parts and without secrets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import vcs
from kit._patch import FilePatch, Line, mask_patch, split_patch
from kit.known_secrets import KnownSecrets
from tests.conftest import git, write

TOKEN = "ghp_" + "a1B2" * 9
KEY = "\n".join(["-----BEGIN RSA PRIVATE KEY-----", *["MIIEow1B" + "aB3d" * 14] * 12, "-----END RSA PRIVATE KEY-----"])


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    return tmp_path


def commit(repo: Path, files: dict[str, str | bytes | None]) -> str:
    """Write these files, remove those that are None, and commit."""
    for name, content in files.items():
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--allow-empty", "--message", "x")
    return git(repo, "rev-parse", "HEAD")


def change(repo: Path, old: dict[str, str | bytes | None], new: dict[str, str | bytes | None]) -> str:
    return vcs.diff(repo, commit(repo, old), commit(repo, new))


def test_nothing_has_no_parts() -> None:
    assert split_patch("") == []
    assert mask_patch("") == ""


def test_each_file_has_its_name_and_what_became_of_it(repo: Path) -> None:
    long = "".join(f"line {n}\n" for n in range(20))
    diff = change(
        repo,
        {"gone": "x\n", "moved from": long, "changed": "1\n", "bin": b"\0\1", "empty": "", 'odd "näh"\n\t\\': "1\n"},
        {"gone": None, "moved from": None, "changed": "2\n", "bin": b"\0\2", "empty": None}
        | {"made": "y\n", "moved to": long + "more\n", 'odd "näh"\n\t\\': "2\n"},
    )
    found = {patch.path: patch for patch in split_patch(diff)}
    assert {path: patch.kind for path, patch in found.items()} == {
        "gone": "removed",
        "moved to": "renamed",
        "changed": "changed",
        "bin": "changed",
        "empty": "removed",
        "made": "added",
        'odd "näh"\n\t\\': "changed",
    }
    assert found["moved to"].was == "moved from"
    assert (found["moved to"].added, found["moved to"].removed) == (1, 0)
    assert found["bin"].binary
    assert not found["changed"].binary
    assert "".join(patch.text for patch in found.values()) == diff


def test_another_mode_is_a_change(repo: Path) -> None:
    old = commit(repo, {"run me.sh": "x\n"})
    (repo / "run me.sh").chmod(0o755)
    (patch,) = split_patch(vcs.diff(repo, old, commit(repo, {})))
    assert (patch.path, patch.mode, patch.body) == ("run me.sh", ("100644", "100755"), ())


def test_lines_are_numbered_on_both_sides(repo: Path) -> None:
    (patch,) = split_patch(change(repo, {"a": "1\n2\n3\n"}, {"a": "1\n-- 2\n++ 2\n3"}))
    assert list(patch.lines()) == [
        Line("hunk", "@@ -1,3 +1,4 @@"),
        Line("same", "1", 1, 1),
        Line("removed", "2", 2),
        Line("removed", "3", 3),
        Line("added", "-- 2", None, 2),
        Line("added", "++ 2", None, 3),
        Line("added", "3", None, 4),
        Line("note", "No newline at end of file"),
    ]


def test_what_looks_like_a_diff_in_a_file_is_none(repo: Path) -> None:
    text = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\r\n\x0c\u2028\n"
    (patch,) = split_patch(change(repo, {"a": "1\n"}, {"a": text}))
    assert (patch.path, patch.added, patch.removed) == ("a", 5, 1)


def test_secrets_are_masked_whatever_sign_stands_before_them(repo: Path) -> None:
    old = f"user: me\npassword: hunter2\nurl: postgresql://me:hunter2@host/db\nkeep: 1\nt = {TOKEN}\n"
    shown = mask_patch(change(repo, {"conf.yaml": old}, {"conf.yaml": old.replace("hunter2", "hunter3") + "x: 1\n"}))
    assert "hunter" not in shown
    assert TOKEN not in shown
    for line in ("-password: ***", "+password: ***", "+url: postgresql://me:***@host/db", " user: me", "+x: 1"):
        assert f"\n{line}\n" in shown


def test_no_line_of_a_private_key_is_shown(repo: Path) -> None:
    source = f'"""A module."""\n\nKEY = """\n{KEY}\n"""\n\nAFTER = 1\n'
    whole = mask_patch(change(repo, {"a.py": "", "b.py": "1\n"}, {"a.py": source, "b.py": "2\n"}))
    assert "MIIE" not in whole
    assert "+AFTER = 1" in whole  # only the key is hidden, not what follows it
    assert "+2" in whole
    lines = KEY.splitlines()
    lines[6] = "Zz9" + lines[6][3:]  # the hunk shows neither its first nor its last line
    inner = mask_patch(change(repo, {"a.py": source}, {"a.py": source.replace(KEY, "\n".join(lines))}))
    assert "@@" in inner
    assert "aB3d" not in inner


@pytest.mark.parametrize("path", [".env", "conf/secrets.yaml", "deploy_key"])
def test_a_file_of_secrets_is_only_named(repo: Path, path: str) -> None:
    diff = change(repo, {path: "A=plainword\n", "z": "1\n"}, {path: "A=otherword\n", "z": "2\n"})
    shown = mask_patch(diff)
    assert "word" not in shown
    assert f"+++ b/{path}\n(a file of secrets, by its name: not shown)\n" in shown
    assert shown.endswith("-1\n+2\n")
    assert [(patch.path, patch.hidden) for patch in split_patch(shown)] == [(path, True), ("z", False)]


def test_python_that_only_names_a_secret_is_shown(repo: Path) -> None:
    shown = (
        "token = next(tokens)",
        "api_key = os.environ['API_KEY']",
        "password = cfg.db.password",
        "def log_in(token: str, password: str | None = None) -> None:",
        "    x = f(token=tokens[0], n=1)",
    )
    hidden = (
        "password = 'hunter2'",
        'log_in(token="hunter2", n=next(x))',
        "# password: hunter2",
        "x = f(y)  # password: hunter2",
        "    password: hunter2",
        f"x = f('{TOKEN}')",
    )
    text = "".join(f"{line}\n" for line in (*shown, *hidden))
    patch = mask_patch(change(repo, {"a.py": "", "a.yaml": ""}, {"a.py": text, "a.yaml": text}))
    code, yaml = (each.text for each in split_patch(patch))
    assert "hunter2" not in patch
    assert TOKEN not in patch
    assert all(f"\n+{line}\n" in code for line in shown)
    assert "next(tokens)" not in yaml


def test_a_secret_that_is_known_is_masked_wherever_it_stands(repo: Path) -> None:
    diff = change(
        repo,
        {"a.py": "1\n", "hunter2secret.txt": "1\n"},
        {"a.py": "f('hunter2secret')\n", "hunter2secret.txt": "2\n"},
    )
    assert "hunter2secret" in mask_patch(diff)
    shown = mask_patch(diff, KnownSecrets(["hunter2secret"]))
    assert "hunter2" not in shown
    assert "+f('***')" in shown


def test_masking_twice_changes_nothing(repo: Path) -> None:
    write(repo, {"x": ""})
    once = mask_patch(change(repo, {"a": "1\n"}, {"a": f"password = 'x y'\n{KEY}\n", ".env": "A=1\n"}))
    assert mask_patch(once) == once


_LINES = st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=20), max_size=8)


@given(_LINES)
def test_whatever_stands_in_a_file_no_line_is_lost(lines: list[str]) -> None:
    body = tuple(f"+{line}" for line in lines)
    head = ("diff --git a/x b/x", "new file mode 100644", "--- /dev/null", "+++ b/x")
    hunk = (f"@@ -0,0 +1,{len(body)} @@",) if body else ()
    patch = FilePatch("x", "added", None, head, (*hunk, *body))
    assert split_patch(patch.text) == [patch]
    (shown,) = split_patch(mask_patch(patch.text))
    assert len(shown.body) == len(patch.body)
    assert [line.new for line in shown.lines() if line.kind == "added"] == list(range(1, len(lines) + 1))
