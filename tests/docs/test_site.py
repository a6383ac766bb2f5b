"""The site builds, each of its links leads somewhere, and what a reader's browser asks for is all there."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from docs._site import build, changelog, links, pages, reference
from kit import settings
from kit.cli import app
from kit.errors import ExitCode
from kit.schedule import Schedule
from tests.conftest import REPOSITORY, write


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, faults = build.build(REPOSITORY, tmp_path_factory.mktemp("docs"))
    assert faults == []
    return folder


def test_each_page_that_somebody_wrote_is_there(site: Path) -> None:
    written = [path for path in pages.collect(REPOSITORY) if path.startswith(("how-to/", "reference/", "explanation/"))]
    assert len(written) > 40
    assert [path for path in written if not (site / path).with_suffix(".html").is_file()] == []


def test_a_reader_without_a_network_can_search(site: Path) -> None:
    assert '"Sweep' in (site / "search.json").read_text()
    assert 'src="../_assets/worker.js"' in (site / "how-to/sweeps.html").read_text()


def test_the_api_is_described(site: Path) -> None:
    text = (site / "reference/python-api.html").read_text()
    for name in (
        "kit.run.Run.log",
        "kit.testing.fake_run",
        "kit.testing.behaviour.assert_sound",
        "kit.errors.UserError",
        "kit.artifacts.dump_skops",
    ):
        assert f'id="{name}"' in text


def test_every_command_and_option_is_described() -> None:
    text = reference.generate({})["reference/commands.md"].text
    for name in (name for lines in app.FAMILIES.values() for name in lines):
        assert f"## `kit {name}`\n" in text
    assert "## `kit schedule export`\n" in text
    assert "## `kit check determinism`\n" in text
    assert "| `--version` | Show the version and leave. |" in text
    assert "| `-m, --multirun` | Sweep: run every combination. |" in text
    assert "`-h, --help`" not in text, "every command has it"


def test_every_key_is_described() -> None:
    text = reference.generate({})["reference/configuration.md"].text
    assert "| `tracking-uri` | text | none | An MLflow tracking URI" in text
    assert "| `when` | list of: `failure`, `recovery`, `missed`, `late` |" in text
    assert "| `cron` | text | must be given | Five fields" in text
    for kind in (settings.Settings, Schedule):
        for field in dataclasses.fields(kind):
            assert (
                f"| `{field.name}` |" in text or f"| `{field.name.replace('_', '-')}` |" in text or field.name == "name"
            )


def test_every_rule_is_in_the_index() -> None:
    from kit.checks import registry

    text = reference.generate(pages.collect(REPOSITORY))["reference/rules/index.md"].text
    for code in (*registry.ENGINE, *registry.RULES):
        assert f"| [{code}]({code}.md) |" in text, "each has a page"


def test_the_page_of_exit_codes_has_each_of_them() -> None:
    page = (REPOSITORY / "docs/reference/exit-codes.md").read_text()
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert told == {*ExitCode, 141}, "141 is the shell's"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.html": '<a href="b.html">b</a>'}, "a.html: b.html leads nowhere"),
        ({"a.html": '<a href="../x.html">x</a>', "x.css": ""}, "a.html: ../x.html leads nowhere"),
        ({"a.html": '<a href="#there">b</a>'}, "a.html: #there: there is no such heading"),
        (
            {"a.html": '<script src="https://x.example/a.js">'},
            "a.html: https://x.example/a.js is fetched from elsewhere",
        ),
        (
            {"a.html": '<link rel="stylesheet" href="//x.example/a.css">'},
            "a.html: //x.example/a.css is fetched from elsewhere",
        ),
        ({"a.html": '<img src="a.png">'}, "a.html: a.png is not there"),
        ({"a.html": "", "b.html": '<a href="b.html">b</a>'}, "b.html: no page leads to it"),
        ({"a.html": '<nav><a href="b.html">b</a></nav>', "b.html": ""}, "b.html: no page leads to it"),
        ({"a.html": "", "a.css": "@import 'https://x.example/a.css'"}, "a.css: fetches something from elsewhere"),
    ],
)
def test_a_fault_is_told(tmp_path: Path, files: dict[str, str], said: str) -> None:
    write(tmp_path, files)
    assert [str(fault) for fault in links.faults(tmp_path, start="a.html")] == [said]


def test_links_that_lead_somewhere_are_no_faults(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.html": '<h1 id="x"></h1><a href="b/index.html#y">b</a><a href="#x">x</a><a href="https://x.example">x</a>',
            "b/index.html": '<a name="y"></a><a href="../a.html">a</a><img src="data:image/png;base64,AAAA">',
        },
    )
    assert links.faults(tmp_path, start="a.html") == []


def test_links_are_settled() -> None:
    found = {
        page.path: page
        for page in (
            pages.Page(
                "project/contributing.md", "[a](docs/explanation/a.md#b) [c](docs/changelog/)", "CONTRIBUTING.md"
            ),
            pages.Page("project/changelog.md", "# What changed"),
            pages.Page("explanation/a.md", "[d](decisions/)\n```\n[d](decisions/)\n```\n", "docs/explanation/a.md"),
            pages.Page("explanation/decisions/0001-x.md", "# 1. X", "docs/explanation/decisions/0001-x.md"),
        )
    }
    assert pages.settled(found["project/contributing.md"], found) == "[a](../explanation/a.md#b) [c](changelog.md)"
    settled = pages.settled(found["explanation/a.md"], found)
    assert settled == "[d](decisions/index.md)\n```\n[d](decisions/)\n```\n", "what stands in code is no link"
    assert "[1. X](0001-x.md)" in pages.indexes(found)["explanation/decisions/index.md"].text


@pytest.mark.parametrize("page", sorted(REPOSITORY.glob("*.md")), ids=lambda page: page.name)
def test_links_from_the_repository_lead_somewhere(page: Path) -> None:
    """As a forge shows these pages, where the site does not."""
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text()) + re.findall(
        r"^\[[^\]]+\]: (\S+)", page.read_text(), re.MULTILINE
    )
    assert [target for target in targets if "://" not in target and not (REPOSITORY / target).exists()] == []


def test_what_the_builder_finds_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"mkdocs.yml": "site_name: x\n", "source/index.md": "# x\n\n[y](y.md)\n"})
    (tmp_path / "mkdocs.yml").write_text("site_name: x\ndocs_dir: source\n")
    with pytest.raises(build.BuildFailed, match="page does not exist") as failed:
        build._run_builder(REPOSITORY, tmp_path)
    assert "Traceback" not in str(failed.value)
    assert "\x1b" not in str(failed.value)


def test_what_changed_is_put_together(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "docs/changelog/README.md": "",
            "docs/changelog/2.added.md": "One\nthing.\n",
            "docs/changelog/10.added.md": "- Two.\n- Three.\n",
            "docs/changelog/2.fixed.md": "- Four.\n",
        },
    )
    points = "### Added\n\n- Two.\n- Three.\n- One\n  thing.\n\n### Fixed\n\n- Four.\n"
    assert changelog.page(tmp_path) == f"# What changed\n\n## Not released yet\n\n{points}"

    file = changelog.release(tmp_path, "0.1.0", "2026-12-01")
    assert file.read_text() == changelog.page(tmp_path) == f"# What changed\n\n## 0.1.0, 2026-12-01\n\n{points}"
    assert [path.name for path in (tmp_path / "docs/changelog").iterdir()] == ["README.md"]

    write(tmp_path, {"docs/changelog/11.changed.md": "- Five.\n"})
    with pytest.raises(ValueError, match=r"has 0\.1\.0 already"):
        changelog.release(tmp_path, "0.1.0", "2026-12-02")
    text = changelog.release(tmp_path, "0.2.0", "2026-12-02").read_text()
    assert re.findall("^## .*", text, re.MULTILINE) == ["## 0.2.0, 2026-12-02", "## 0.1.0, 2026-12-01"]
    with pytest.raises(ValueError, match="nothing changed"):
        changelog.release(tmp_path, "0.3.0", "2026-12-03")


def test_a_change_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"docs/changelog/3.improved.md": "- Better.\n"})
    with pytest.raises(ValueError, match=r"3\.improved\.md: the kinds are added, changed, fixed, removed"):
        changelog.page(tmp_path)
