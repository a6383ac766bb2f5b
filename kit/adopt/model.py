"""What was found in a repository, and what is proposed for it. Plain data."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

__all__ = ["Call", "Change", "Entry", "Form", "HydraConf", "Option", "Proposal", "Returns", "Survey"]


class Call(StrEnum):
    """How the wrapper calls the user's code."""

    FUNCTION = "function"
    """The user's own function, with the options as its arguments."""
    NAMESPACE = "namespace"
    """The user's own function, with an `argparse.Namespace`."""
    CONFIG = "config"
    """The user's own function, with Hydra's config."""
    ARGUMENTS = "arguments"
    """The user's own function, with a command line as a list."""
    ARGV = "argv"
    """The user's own function, which reads `sys.argv`."""
    SCRIPT = "script"
    """The file, as `python FILE` would: the work is not in a function."""


class Returns(StrEnum):
    """What the user's function gives back, as far as its text tells."""

    NOTHING = "nothing"
    METRICS = "metrics"
    MAPPING = "mapping"
    NUMBER = "number"
    STATUS = "status"
    """A whole number from a command: what the process would leave with."""
    UNKNOWN = "unknown"


Form = Literal["value", "flag", "no-flag", "either", "list", "repeated", "count", "positional", "truthy"]
"""How an option is written on a command line.

`value` is `--name=VALUE`, `flag` is there if the value is true and `no-flag` if it is not, `either` is `--name` or
`--no-name`, `list` is `--name A B`, `repeated` is `--name A --name B`, `count` is `-v -v`, and `truthy` is
`--name=True` or `--name=`, for `type=bool`, which takes every text but an empty one for true.
"""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the user's command, or one parameter of their function.

    Attributes:
        name: What the user's code calls it.
        type: An annotation, as it is written in the wrapper: `int`, `str | None`, `list[float]`.
        default: A plain value; None also where there is none to be known.
        help: What the user's own help says.
        flags: What it is called on the command line, and for `either` what its opposite is.
        form: How it is written there.
        required: Whether the user's command refuses to start without it.
        computed: The default's own text, where it is no plain value: the option is passed on only if it is set.
        converted: Whether the user's command makes something else of the text than `type` says.
        unlike: Whether no text on the command line gives the default: a number that argparse has no `type` for.
    """

    name: str
    type: str = "str"
    default: Any = None
    help: str = ""
    flags: tuple[str, ...] = ()
    form: Form = "value"
    required: bool = False
    computed: str | None = None
    converted: bool = False
    unlike: bool = False

    @property
    def optional(self) -> bool:
        """Whether it may be None, which no command line can say."""
        return self.type.endswith("| None")


@dataclass(frozen=True, slots=True)
class HydraConf:
    """Where a `hydra.main` finds its configs, relative to the project."""

    folder: str
    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the work begins.

    Attributes:
        path: The file, relative to the project.
        function: The function in it; None where the file itself does the work.
        kind: What reads its options, for people: "argparse", "click", ...
        call: How it is called.
        why: Why it is not called in a simpler way; empty if it is.
        options: Its options.
        unread: Where it gets options from that could not be read, as `path:line: what`.
        left_out: Parameters that no config can hold, and that keep their defaults.
        conf: Hydra's configs.
        command: The words before the options: a subcommand's name.
        attribute: What of the function is called: `callback`, `main`.
        returns: What it gives back.
        score: How likely it is to be the one that trains.
    """

    path: str
    function: str | None
    kind: str
    call: Call
    why: str = ""
    options: tuple[Option, ...] = ()
    unread: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    conf: HydraConf | None = None
    command: tuple[str, ...] = ()
    attribute: str | None = None
    returns: Returns = Returns.NOTHING
    score: int = 0

    @property
    def label(self) -> str:
        return self.path if self.function is None else f"{self.path}:{self.function}"


@dataclass(frozen=True, slots=True)
class Survey:
    """What the repository has.

    Attributes:
        layout: For people: "src layout", "flat", "scripts".
        package: The import package; None if there are only scripts.
        package_dir: Its folder.
        manager: What manages the dependencies: "uv", "poetry", ...; None if nothing does.
        manager_file: The file that tells so.
        data: Folders that look like data.
        tests: The tests' folder.
        dvc: Whether DVC is set up.
        mlflow: The files that import MLflow.
        notes: What was seen on the way and is worth knowing.
    """

    layout: str
    package: str | None
    package_dir: str | None
    manager: str | None
    manager_file: str | None
    data: tuple[str, ...]
    tests: str | None
    dvc: bool
    mlflow: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One file that is made, or added to.

    Attributes:
        path: Relative to the project.
        before: Its text; None for a new file.
        after: What it is to be.
    """

    path: str
    before: str | None
    after: str

    def diff(self) -> str:
        """As `git diff` shows it."""
        old = [] if self.before is None else self.before.splitlines(keepends=True)
        names = ("/dev/null" if self.before is None else f"a/{self.path}", f"b/{self.path}")
        lines = difflib.unified_diff(old, self.after.splitlines(keepends=True), *names)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Proposal:
    """All that would be done.

    Attributes:
        survey: What was found.
        entry: Where the work begins.
        task: The task's name.
        changes: The files, in the order in which they are written.
        notes: What has to be said or done by hand.
        run: The first run, as an argv.
        missing: Options that it has to be given, since they have no default.
    """

    survey: Survey
    entry: Entry
    task: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    run: tuple[str, ...]
    missing: tuple[str, ...] = ()
