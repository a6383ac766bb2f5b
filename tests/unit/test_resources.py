"""Resources: one vocabulary, read strictly."""

from __future__ import annotations

import pytest

from kit.errors import UserError
from kit.resources import Resources, parse_resources


def test_they_are_read_as_people_write_them() -> None:
    read = parse_resources({"cpus": 4, "gpus": 0, "memory": "8G", "time": "1 h 30 m"}, where="resources")
    assert read == Resources(4, 0, 8 * 2**30, 5400.0)
    assert parse_resources({"memory": 512, "time": 90}, where="resources") == Resources(memory=512, time=90.0)
    assert parse_resources({"memory": "1.5 GiB"}, where="resources").memory == 3 * 2**29
    assert parse_resources(None, where="resources") == Resources()


def test_what_an_experiment_does_not_say_its_executor_does() -> None:
    assert Resources(cpus=2, gpus=0).over(Resources(cpus=8, gpus=4, time=60.0)) == Resources(2, 0, None, 60.0)


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"cpu": 2}, "resources: unknown key 'cpu'"),
        ({"cpus": 0}, "resources.cpus: expected a whole number from 1, got 0"),
        ({"cpus": True}, "resources.cpus"),
        ({"gpus": -1}, "resources.gpus: expected a whole number from 0, got -1"),
        ({"memory": "lots"}, "resources.memory: expected bytes, or a size such as 8G, got 'lots'"),
        ({"memory": 0}, "resources.memory"),
        ({"time": "soon"}, "resources.time: expected seconds, or a length of time such as 2h, got 'soon'"),
        ({"time": 0}, "resources.time"),
        (["cpus"], "resources: expected cpus, gpus, memory, time, ranks, got ['cpus']"),
    ],
)
def test_what_is_none_of_them_is_refused(given: object, what: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_resources(given, where="resources")
    assert str(refused.value).startswith(what)
    assert refused.value.fix
