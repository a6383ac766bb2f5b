"""What py-spy saw becomes a tree of the task's calls, and no command line gets into it."""

from __future__ import annotations

from pathlib import Path

from kit.profiling._stacks import Call, Owner, Places, read_stacks

PLACES = Places(Path("/home/me/flights"), Path("/env/lib/python3.11/site-packages/kit"))
KIT = "/env/lib/python3.11/site-packages/kit"
OWN = 'process 100:"/env/bin/python -P -m kit._worker /home/me/flights/.kit/runs/a1"'
TO_THE_TASK = (
    "_run_module_as_main (<frozen runpy>:198);_run_code (<frozen runpy>:88);<module> (" + KIT + "/_worker.py:80);"
    "main (" + KIT + "/_worker.py:47);_run (" + KIT + "/execution.py:150)"
)
TRAIN = "train (/home/me/flights/src/flights/train.py:20)"
FIT = "fit (/env/lib/python3.11/site-packages/sklearn/base.py:9)"
THREAD = "Thread._bootstrap (/usr/lib/python3.11/threading.py:1002);Thread.run (/usr/lib/python3.11/threading.py:982)"


def read(*lines: str) -> Call:
    return read_stacks("".join(f"{line}\n" for line in lines), 100, PLACES)


def shape(call: Call) -> dict[str, object]:
    """Names and samples only."""
    return {f"{each.name} {each.samples}": shape(each) for each in call.calls.values()}


def test_a_stack_begins_at_the_task() -> None:
    tree = read(f"{OWN};{TO_THE_TASK};{TRAIN};{FIT} 3", f"{OWN};{TO_THE_TASK};{TRAIN} 1")
    assert tree.samples == 4
    assert shape(tree) == {"train 4": {"fit 3": {}}}


def test_a_function_is_one_call_whichever_line_it_is_at() -> None:
    elsewhere = TRAIN.replace(":20)", ":21)")
    tree = read(f"{OWN};{TO_THE_TASK};{TRAIN} 3", f"{OWN};{TO_THE_TASK};{elsewhere} 1")
    (train,) = tree.calls.values()
    assert (train.samples, dict(train.lines)) == (4, {20: 3, 21: 1})


def test_places_are_named_from_the_project_or_the_package_on() -> None:
    tree = read(
        f"{OWN};{TO_THE_TASK};{TRAIN};{FIT};dumps (/usr/lib/python3.11/json/__init__.py:1);log ({KIT}/run.py:5) 1"
    )
    found = []
    call = tree
    while call.calls:
        (call,) = call.calls.values()
        found.append((call.name, call.place, call.owner))
    assert found == [
        ("train", "src/flights/train.py", Owner.PROJECT),
        ("fit", "sklearn/base.py", Owner.LIBRARY),
        ("dumps", "json/__init__.py", Owner.PYTHON),
        ("log", "kit/run.py", Owner.KIT),
    ]


def test_what_kit_and_mlflow_do_beside_the_task_is_apart() -> None:
    tree = read(
        f"{OWN};{TO_THE_TASK};{TRAIN} 90",
        f"{OWN};{THREAD};Sender._work ({KIT}/trackers/spool.py:200);"
        "send (/env/lib/python3.11/site-packages/mlflow/client.py:1) 4",
        f"{OWN};{THREAD};monitor (/env/lib/python3.11/site-packages/mlflow/system_metrics/monitor.py:1) 3",
        f"{OWN};{TO_THE_TASK} 1",
        f"{OWN};{THREAD};prefetch (/home/me/flights/src/flights/data.py:7) 2",
    )
    assert shape(tree) == {
        "train 90": {},
        "kit and MLflow, beside the task 8": {"send 4": {}, "monitor 3": {}},
        "prefetch 2": {},
    }


def test_other_processes_are_put_together_and_nothing_of_their_command_lines_is_kept() -> None:
    spawned = 'process 101:"python -c from m import main;main(3) --password=hunter2"'
    multiline = 'process 102:"python -c import os\nx = "a;b (c:1)" 5\nprint(x) --token=abcdef1234567890"'
    tree = read(
        f"{OWN};{TO_THE_TASK};{TRAIN} 2",
        f"{OWN};{spawned};load (/home/me/flights/src/flights/data.py:3) 5",
        f"{OWN};{multiline};load (/home/me/flights/src/flights/data.py:3) 4",
        f"{OWN};{spawned} 1",
    )
    assert shape(tree) == {"train 2": {}, "processes that it started 10": {"load 9": {}}}


def test_imports_are_shown_without_the_machinery() -> None:
    machinery = (
        "_find_and_load (<frozen importlib._bootstrap>:1176);exec_module (<frozen importlib._bootstrap_external>:1)"
    )
    tree = read(
        f"{OWN};{TO_THE_TASK};{TRAIN};{machinery};<module> (/env/lib/python3.11/site-packages/sklearn/base.py:1) 2"
    )
    assert shape(tree) == {"train 2": {"<module> 2": {}}}


def test_secrets_in_paths_are_masked() -> None:
    tree = read(f"{OWN};{TO_THE_TASK};run (/home/me/flights/ghp_{'a' * 36}/x.py:1) 2")
    (call,) = tree.calls.values()
    assert call.place == "***/x.py"


def test_what_is_no_stack_is_passed_over() -> None:
    tree = read("", "py-spy> something", f"{OWN};{TO_THE_TASK};{TRAIN}", f"{OWN} 3", f"{OWN};{TO_THE_TASK};{TRAIN} 2")
    assert (tree.samples, shape(tree)) == (5, {"train 2": {}})
    assert read_stacks("", 100, PLACES).samples == 0
