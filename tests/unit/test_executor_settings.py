"""`[tool.kit.executors]`: read strictly, and found by name."""

from __future__ import annotations

import pytest

from kit.errors import UserError
from kit.resources import Resources
from kit.settings import ExecutorSettings, Settings, executor_settings, parse_settings

TEXT = """
[tool.kit.executors.gpu]
kind = "slurm"
partition = "gpu"
setup = ["module load cuda"]
memory = "2G"
time = "1h"
"""


def parse(text: str) -> Settings:
    return parse_settings(text, where="pyproject.toml")


def test_an_executor_is_found_by_its_name() -> None:
    settings = parse(TEXT)
    found = executor_settings(settings, "gpu")
    assert found is not None
    assert (found.partition, found.setup) == ("gpu", ("module load cuda",))
    assert found.resources == Resources(memory=2 * 2**30, time=3600.0)
    assert executor_settings(settings, "slurm") == ExecutorSettings()
    assert executor_settings(settings, "ray") == ExecutorSettings("ray")
    assert executor_settings(settings, "local") is None


def test_one_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UserError, match="there is no executor 'gpus'") as refused:
        executor_settings(parse(TEXT), "gpus")
    assert refused.value.fix == "Did you mean 'gpu'?"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[tool.kit.executors.gpu]\npartitoin = 'x'", "unknown key 'partitoin' in [tool.kit.executors.gpu]"),
        ("[tool.kit.executors.gpu]\nkind = 'pbs'", "invalid enum value 'pbs'"),
        ("[tool.kit.executors.gpu]\nmemory = 'lots'", "executor.memory: expected bytes"),
        ("[tool.kit.executors.gpu]\nwarning = 0", "[tool.kit]:"),
        ("[tool.kit.executors.big]\nkind = 'ray'\npartition = 'x'", "'partition' is a setting of slurm"),
        ("[tool.kit.executors.big]\naddress = 'x'", "'address' is a setting of ray, and its kind is slurm"),
        ("[tool.kit.executors.big]\nkind = 'ray'\nrestarts = -1", "[tool.kit]:"),
        ("[tool.kit.executors.local]\nkind = 'slurm'", "'local' is this machine"),
    ],
)
def test_what_cannot_be_used_is_refused(text: str, what: str) -> None:
    with pytest.raises(UserError) as refused:
        parse(text)
    assert what in str(refused.value)
