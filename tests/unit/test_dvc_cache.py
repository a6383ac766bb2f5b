"""DVC's cache, as DVC itself fills it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from kit import data
from kit._dvc_cache import Cache, DamagedListing, find_cache
from kit.errors import ServiceError
from tests.conftest import git, write
from tests.unit.test_data import dvc


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cache") / "project"
    write(root, {"d/a.csv": "a\n1\n", "d/deep/näh ☃.txt": "x", "one.txt": "one"})
    git(root, "init", "--quiet")
    dvc(root, "init", "--quiet")
    dvc(root, "add", "--quiet", "d", "one.txt")
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "project"
    shutil.copytree(original, copy, symlinks=True)
    return copy


def md5s(root: Path) -> dict[str, str]:
    return {version.path: version.md5 or "" for version in data.versions(root)}


def the_cache(root: Path) -> Cache:
    found = find_cache(root)
    assert found is not None
    return found


def test_a_folders_version_lists_its_files(root: Path) -> None:
    cache, md5 = the_cache(root), md5s(root)
    shutil.rmtree(root / "d")
    listing = cache.listing(md5["d"])
    assert listing is not None
    assert set(listing) == {"a.csv", "deep/näh ☃.txt"}
    found = cache.find(listing["a.csv"])
    assert found is not None
    assert found.read_text() == "a\n1\n"


def test_a_files_version_is_its_content(root: Path) -> None:
    found = the_cache(root).find(md5s(root)["one.txt"])
    assert found is not None
    assert found.read_text() == "one"


def test_what_is_not_in_the_cache_is_none(root: Path) -> None:
    cache = the_cache(root)
    assert cache.find("0" * 32) is None
    assert cache.listing("0" * 32 + ".dir") is None
    shutil.rmtree(cache.folder)
    assert cache.listing(md5s(root)["d"]) is None


def test_the_layout_of_older_versions_is_read_too(root: Path) -> None:
    cache, md5 = the_cache(root), md5s(root)
    for folder in (cache.folder / "files" / "md5").iterdir():
        folder.rename(cache.folder / folder.name)
    assert cache.find(md5["one.txt"]) is not None
    assert cache.listing(md5["d"])


def test_what_is_no_hash_never_leads_out_of_the_cache(root: Path) -> None:
    write(root, {".dvc/secret": "x", ".dvc/cache/files/md5/aa/x": "x"})
    cache = the_cache(root)
    for name in ("../../../secret", "aa/x", "aax", "", str(root / ".dvc" / "secret"), "a" * 31 + "\n"):
        assert cache.find(name) is None


@pytest.mark.parametrize(
    "content", [b"", b"[", b"{}", b'[{"md5": 1, "relpath": "x"}]', b"[1]", b'[{"md5": "x"}]', b"\xff"]
)
def test_a_damaged_listing_is_said_to_be_one(root: Path, content: bytes) -> None:
    md5 = hashlib.md5(content).hexdigest() + ".dir"
    file = the_cache(root).folder / "files" / "md5" / md5[:2] / md5[2:]
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    with pytest.raises(DamagedListing, match="damaged"):
        the_cache(root).listing(md5)


def test_fields_that_newer_versions_may_add_are_no_damage(tmp_path: Path) -> None:
    entry = {"md5": "a" * 32, "relpath": "x", "isexec": True}
    md5 = "b" * 32 + ".dir"
    write(tmp_path, {f"files/md5/bb/{md5[2:]}": json.dumps([entry])})
    assert Cache(tmp_path).listing(md5) == {"x": "a" * 32}


def test_a_name_that_is_not_utf8_is_written_as_text(tmp_path: Path) -> None:
    md5 = "b" * 32 + ".dir"
    write(tmp_path, {f"files/md5/bb/{md5[2:]}": json.dumps([{"md5": "a" * 32, "relpath": "gr\udcfc\udcdfe.csv"}])})
    assert Cache(tmp_path).listing(md5) == {"gr\\udcfc\\udcdfe.csv": "a" * 32}


def test_a_project_without_dvc_has_no_cache(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert find_cache(tmp_path) is None


@pytest.mark.parametrize("level", [[], ["--local"], ["--global"]], ids=lambda level: "".join(level) or "repository")
def test_the_cache_may_lie_elsewhere(
    root: Path, tmp_path: Path, level: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "home" / "dvc"))
    before = the_cache(root)
    (tmp_path / "home" / "dvc").mkdir(parents=True)
    dvc(root, "cache", "dir", *level, str(tmp_path / "elsewhere") if level else "../elsewhere")
    assert before.folder == root / ".dvc" / "cache"
    assert the_cache(root).folder == tmp_path / "elsewhere"


def test_settings_that_dvc_cannot_read_are_an_error(root: Path) -> None:
    write(root, {".dvc/config": "[cache\n"})
    with pytest.raises(ServiceError, match="DVC does not say where its cache is"):
        find_cache(root)


def test_the_cache_of_a_project_within_a_repository_is_the_repositorys(root: Path) -> None:
    (root / "sub").mkdir()
    assert the_cache(root / "sub").folder == root / ".dvc" / "cache"
