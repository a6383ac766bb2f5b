"""Takes away what the answers do not need, and writes down where kit came from. Nothing else: no git, no install."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

DISTRIBUTION = "mlekit"

FLIGHTS_ONLY = (
    "conf/data",
    "conf/experiment/deep.yaml",
    "conf/experiment/fast.yaml",
    "conf/model",
    "notebooks",
    "src/{package}/contracts.py",
    "src/{package}/evaluate.py",
    "src/{package}/features.py",
    "src/{package}/model.py",
    "src/{package}/predict.py",
    "tests/conftest.py",
    "tests/floor.toml",
    "tests/test_contracts.py",
    "tests/test_data.py",
    "tests/test_evaluate.py",
    "tests/test_features.py",
)
# What each answer has no use for.
UNUSED = {
    "framework": {
        "scikit-learn": ("conf/model/mlp.yaml", "tests/test_model.py"),
        "pytorch": ("conf/model/gradient_boosting.yaml",),
        "none": (*FLIGHTS_ONLY, "tests/test_model.py"),
    },
    "ci": {
        "github": (".gitlab-ci.yml",),
        "gitlab": (".github",),
        "none": (".github", ".gitlab-ci.yml"),
    },
    "_contracts": {
        True: (),
        False: ("src/{package}/contracts.py", "tests/test_contracts.py"),
    },
    "_notebooks": {
        True: (),
        False: ("notebooks",),
    },
    "_docker": {
        True: (),
        False: (".dockerignore", "Dockerfile"),
    },
    "_docs": {
        True: (),
        False: ("docs", "mkdocs.yml"),
    },
}


def prune(project, answers):
    """Remove the files and folders that the answers do not need.

    Args:
        project: The generated folder.
        answers: Every variable of the template, by name.
    """
    for variable, unused in UNUSED.items():
        for name in unused[answers[variable]]:
            path = project / name.format(package=answers["__package_name"])
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def kit_requirement(answers, clones):
    """Where the template, and so kit, came from, as a requirement that finds the same kit again.

    Args:
        answers: Every variable of the template, by name.
        clones: The folder that cookiecutter clones templates to.
    """
    template, commit = answers["_template"], answers.get("_commit")
    if commit and _is_remote(template):  # cruft, whose clone does not last
        return _git_requirement(template, commit)
    # Relative to where cookiecutter was started, which a hook is told in no better way.
    places = [answers.get("_output_dir") or "/", os.environ.get("PWD") or "/"]
    names = [answers.get("_repo_dir"), None if _is_remote(template) else template]
    root = checkout([Path(place, name) for name in names if name for place in places])
    if root is None or (root.is_relative_to(tempfile.gettempdir()) and not (root / ".git").exists()):
        return DISTRIBUTION  # not kit's repository, or an archive unpacked for this one moment
    if _is_remote(template) or root.is_relative_to(clones):
        return _git_requirement(_git(root, "remote", "get-url", "origin"), _version(root))
    return f"{DISTRIBUTION} @ {root.as_uri()}"


def checkout(folders):
    """The root of the kit repository that one of these folders is, or is a template in; None if there is none."""
    for folder in [*folders, *(folder.resolve().parent.parent for folder in folders)]:
        pyproject = folder / "pyproject.toml"
        if pyproject.is_file() and re.search(rf'^name = "{DISTRIBUTION}"$', pyproject.read_text("utf-8"), re.MULTILINE):
            return folder.resolve()
    return None


def git_url(url):
    """A URL that an installer understands after `git+`, without a password; None when there is none."""
    if re.match(r"[\w.-]+@[\w.-]+:", url):  # git@example.org:group/kit.git
        url = "ssh://" + url.replace(":", "/", 1)
    elif "://" not in url:
        url = Path(url).as_uri() if Path(url).is_absolute() else ""
    parts = urlsplit(url.removeprefix("git+"))
    if parts.scheme not in {"file", "git", "http", "https", "ssh"} or not re.fullmatch(r"[\w.:/@%+~-]+", url):
        return None
    netloc = parts.netloc if parts.scheme == "ssh" else parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=netloc))


def write_requirement(project, requirement):
    """Put the requirement in the place of the plain one."""
    path = project / "pyproject.toml"
    text = path.read_text("utf-8")
    path.write_text(text.replace(f'\n  "{DISTRIBUTION}",\n', f'\n  "{requirement}",\n', 1), "utf-8")


def _is_remote(template):
    """Whether it is a URL, an address such as git@host:path, or an abbreviation such as gh:group/kit."""
    return bool(re.match(r"([\w.+-]+@)?[\w.+-]+:", template))


def _git_requirement(url, version):
    url = git_url(url or "")
    return DISTRIBUTION if url is None or not version else f"{DISTRIBUTION} @ git+{url}@{version}"


def _version(root):
    """The tag that is checked out, or else the commit."""
    return _git(root, "describe", "--tags", "--exact-match", "HEAD") or _git(root, "rev-parse", "--verify", "HEAD")


def _git(folder, *arguments):
    """What git says, or nothing when it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _clones():
    """Where cookiecutter clones to, by its configuration."""
    try:
        from cookiecutter.config import get_user_config

        folder = get_user_config()["cookiecutters_dir"]
    except Exception:  # another cookiecutter, or a broken configuration: its default
        folder = "~/.cookiecutters"
    return Path(folder).expanduser().resolve()


def main(answers):
    """Finish the project in the current folder."""
    project = Path.cwd()
    prune(project, answers)
    if not answers["_kit_requirement"]:
        write_requirement(project, kit_requirement(answers, _clones()))


if __name__ == "__main__":
    sys.exit(main(json.loads({{ cookiecutter | jsonify | jsonify }})))
