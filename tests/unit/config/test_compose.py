"""Composing with the real Hydra: values, origins, and one line for every mistake."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kit.config import Composed, compose
from kit.errors import HostError, KitError, UserError

MakeProject = Callable[..., Path]


def composed(root: Path, *overrides: str, **more: object) -> Composed:
    return compose(root, "conf", "config", overrides, **more)  # type: ignore[arg-type]


def problem(root: Path, *overrides: str) -> KitError:
    """The error, and proof that Hydra is as it was."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig

    with pytest.raises(UserError) as caught:
        composed(root, *overrides)
    assert not GlobalHydra.instance().is_initialized()
    assert not HydraConfig.initialized()
    assert "\n" not in str(caught.value)
    return caught.value


def told(error: KitError) -> tuple[str, str | None, str | None]:
    return error.what, error.where, error.fix


def test_compose_gives_plain_values_and_their_origins(project: Path) -> None:
    result = composed(project, "model.rate=0.5", "+model.extra={a: [1, 2]}")
    assert result.config == {
        "seed": 7,
        "steps": 3,
        "model": {"depth": 3, "rate": 0.5, "extra": {"a": [1, 2]}},
        "task": "tiny.train.train",
    }
    assert result.origins == {
        "seed": "conf/config.yaml",
        "steps": "conf/config.yaml",
        "model.depth": "conf/model/small.yaml",
        "model.rate": "command line",
        "model.extra.a": "command line",
        "task": "conf/experiment/baseline.yaml",
    }
    assert result.experiment == "baseline"
    assert result.task == "tiny.train.train"
    assert result.overrides == ("model.rate=0.5", "+model.extra={a: [1, 2]}")
    assert type(result.config["model"]) is dict
    assert type(result.config["model"]["extra"]["a"]) is list


def test_an_experiment_chooses_other_files(project: Path) -> None:
    result = composed(project, "experiment=deep")
    assert result.config["steps"] == 5
    assert result.origins["steps"] == "conf/experiment/deep.yaml"
    assert result.origins["model.depth"] == "conf/model/large.yaml"


def test_nothing_is_written_logged_or_warned(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(project.rglob("*"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code = (
        "import logging, sys; from pathlib import Path; from kit.config import compose;"
        "assert not {'hydra', 'omegaconf', 'yaml'} & set(sys.modules);"
        f"[compose(Path({str(project)!r}), 'conf', 'config', []) for _ in range(2)];"
        "assert not logging.getLogger().handlers"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(project.rglob("*")) == before
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_hydras_resolvers_know_the_run(make_project: MakeProject, tmp_path: Path) -> None:
    root = make_project(
        {
            "conf/hydra_values.yaml": "",
            "conf/model/small.yaml": """
            choice: ${hydra:runtime.choices.model}
            job: ${hydra:job.name}
            out: ${hydra:runtime.output_dir}
            run: ${hydra:run.dir}
            cwd: ${hydra:runtime.cwd}
            num: ${hydra:job.num}
            id: ${hydra:job.id}
            dirname: ${hydra:job.override_dirname}
            home: ${oc.env:HOME}
            same: ${seed}
            near: ${.choice}
            day: ${now:%Y}
            """,
        }
    )
    model = composed(root, "seed=3", run_dir=tmp_path / "r", job_num=4).config["model"]
    assert model.pop("home")
    assert len(model.pop("day")) == 4
    assert model == {
        "choice": "small",
        "job": "baseline",
        "out": str(tmp_path / "r"),
        "run": str(tmp_path / "r"),
        "cwd": str(root),
        "num": 4,
        "id": "4",
        "dirname": "seed=3",
        "same": 3,
        "near": "small",
    }
    alone = composed(root, "hydra.job.name=mine").config["model"]
    assert alone["job"] == "mine"
    assert alone["num"] is None
    assert alone["out"].endswith("/.kit/runs/<run_id>")


@pytest.mark.parametrize(
    ("overrides", "key", "value"),
    [
        (["steps=4"], "steps", 4),
        (["++steps=4"], "steps", 4),
        (["+new=4"], "new", 4),
        (["++new.deep=4"], "new", {"deep": 4}),
        (["~steps"], "steps", None),
        (["model=large"], "model", {"depth": 9, "rate": 0.01}),
        (["model={rate: 2}"], "model", {"depth": 3, "rate": 2}),
        (["+model@other=large"], "other", {"depth": 9, "rate": 0.01}),
        (["+new=[1,a,{b: 2}]"], "new", [1, "a", {"b": 2}]),
        (["+new='a, b'"], "new", "a, b"),
        (['+new="${x}"'], None, None),
        (["+new=1e-3"], "new", 1e-3),
        (["+new=null"], "new", None),
        (["~model"], "model", None),
        (["model=[small,large]"], "model", {"depth": 9, "rate": 0.01}),
        (["+model.depth.x=3"], "model", {"depth": {"x": 3}, "rate": 0.1}),
    ],
)
def test_every_kind_of_override(project: Path, overrides: list[str], key: str | None, value: object) -> None:
    if key is None:
        assert "nothing at ${x}" in problem(project, *overrides).what
    else:
        result = composed(project, *overrides)
        assert result.config.get(key) == value
        assert set(result.origins.values()) <= {
            "command line",
            "conf/config.yaml",
            "conf/model/small.yaml",
            "conf/model/large.yaml",
            "conf/experiment/baseline.yaml",
        }


def test_origins_follow_packages_interpolations_lists_and_search_paths(
    make_project: MakeProject, tmp_path: Path
) -> None:
    outside = tmp_path / "shared"
    (outside / "data").mkdir(parents=True)
    (outside / "data" / "far.yaml").write_text("path: far\n")
    root = make_project(
        {
            "conf/config.yaml": f"""
            defaults:
              - model: small
              - model@teacher: large
              - data: far
              - experiment: baseline
              - _self_
            hydra:
              searchpath: [{outside}]
            evaluation: ${{model}}
            layers: [1, {{a: 2}}]
            empty: {{}}
            model:
              rate: ???
            """,
        }
    )
    result = composed(root, "teacher.rate=0.3")
    assert result.origins == {
        "model.depth": "conf/model/small.yaml",
        "model.rate": "conf/model/small.yaml",
        "teacher.depth": "conf/model/large.yaml",
        "teacher.rate": "command line",
        "data.path": (outside / "data" / "far.yaml").as_posix(),
        "task": "conf/experiment/baseline.yaml",
        "evaluation.depth": "conf/config.yaml",
        "evaluation.rate": "conf/config.yaml",
        "layers": "conf/config.yaml",
        "empty": "conf/config.yaml",
    }
    assert composed(root, "layers=[3]").origins["layers"] == "command line"
    assert composed(root, "layers.0=3").origins["layers"] == "command line"


def test_a_config_that_a_plugin_brings_has_an_address_as_origin(project: Path) -> None:
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    store.store(group="plugin", name="one", node={"a": 1})
    try:
        assert composed(project, "+plugin=one").origins["plugin.a"] == "structured://plugin/one"
    finally:
        del store.repo["plugin"]


def test_keys_and_values_survive_json(make_project: MakeProject) -> None:
    root = make_project({"conf/model/small.yaml": "1: one\n2.5: two\nday: 2020-01-01\n"})
    assert composed(root).config["model"] == {"1": "one", "2.5": "two", "day": "2020-01-01"}


def test_composing_inside_hydra_leaves_it_alone(project: Path) -> None:
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.utils import JobRuntime

    with initialize_config_dir(str(project / "conf"), job_name="theirs", version_base=None):
        theirs = GlobalHydra.instance().hydra
        composed(project)
        assert GlobalHydra.instance().hydra is theirs
        assert JobRuntime.instance().get("name") == "theirs"


def test_threads_may_compose_at_the_same_time(project: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: composed(project, f"seed={number}").config["seed"], range(12)))
    assert found == list(range(12))


def test_a_missing_self_is_not_worth_a_warning(make_project: MakeProject) -> None:
    root = make_project({"conf/config.yaml": "defaults:\n  - model: small\n  - experiment: baseline\nseed: 1\n"})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        composed(root)
    assert [str(item.message) for item in caught if "defaults" in str(item.message).lower()] == []


CASES: dict[str, tuple[list[str], str, str | None]] = {
    "unknown key": (
        ["model.rat=0.2"],
        "no such key 'model.rat'",
        "Did you mean 'model.rate'? (use +model.rat=0.2 to add a new key)",
    ),
    "right key, wrong place": (
        ["rate=0.2"],
        "no such key 'rate'",
        "Did you mean 'model.rate'? (use +rate=0.2 to add a new key)",
    ),
    "nothing near": (
        ["zzz=1"],
        "no such key 'zzz'",
        "See all keys with `kit run --dry-run`. (use +zzz=1 to add a new key)",
    ),
    "unknown key beside a broken choice": (
        ["modle=large", "seed=1"],
        "no such key 'modle'",
        "Did you mean 'model'? (use +modle=large to add a new key)",
    ),
    "unknown key of Hydra": (
        ["hydra.jop.name=x"],
        "no such key 'hydra.jop.name'",
        "Did you mean 'hydra.job.name'? (use +hydra.jop.name=x to add a new key)",
    ),
    "unknown option": (
        ["model=smal"],
        "no option 'smal' in group 'model'",
        "Did you mean 'small'? Available: large, small.",
    ),
    "unknown option, nothing near": (
        ["model=huge"],
        "no option 'huge' in group 'model'",
        "Available: large, small.",
    ),
    "unknown group": (["db/x=y"], "no such group 'db/x'", "The groups: experiment, model."),
    "unknown group with a package": (["+modle@x=y"], "no such group 'modle'", "Did you mean 'model'?"),
    "group in another package": (
        ["model@foo=large"],
        "group 'model@foo' is not in the defaults list",
        "Did you mean 'model'?",
    ),
    "forced group": (
        ["++model=large"],
        "'++model=large' chooses from a group, which ++ cannot do",
        "Write model=large or +model=large.",
    ),
    "group chosen by a number": (
        ["model=3"],
        "'model=3' must choose an option by its name, got int",
        "Name an option of the group, or leave the group out with ~model.",
    ),
    "already there": (["+seed=3"], "key 'seed' is already there", "Change it with seed=3."),
    "nothing to delete": (["~modle"], "no 'modle' to delete", "Did you mean 'model'?"),
    "no such choice to delete": (["~model=huge"], "no 'model=huge' to delete", "Did you mean 'model'?"),
    "other value to delete": (
        ["~seed=3"],
        "'seed' is 7, so ~seed=3 deletes nothing",
        "Delete it whatever it is with ~seed.",
    ),
    "value of the wrong type": (
        ["hydra.job.num=x"],
        "cannot set hydra.job.num=x: Value 'x' of type 'str' could not be converted to Integer",
        "Give the key a value of its type.",
    ),
    "sweep": (
        ["seed=1,2"],
        "'seed=1,2' has several values, but this is one run",
        "Add -m to run each of them, or write a list as `key=[1,2]` and a text as `key='1,2'`.",
    ),
    "sweep over a range": (
        ["seed=range(1,3)"],
        "'seed=range(1,3)' has several values, but this is one run",
        "Add -m to run each of them, or write a list as `key=[1,2]` and a text as `key='1,2'`.",
    ),
    "no key": (["=3"], "'=3' sets no key", "Write it as `key=value`."),
    "missing value": (["seed=???"], "no value for 'seed'", "Give it: `kit run seed=VALUE`."),
    "missing values": (
        ["seed=???", "model.rate=???"],
        "no value for 'model.rate' (nor for 'seed')",
        "Give it: `kit run model.rate=VALUE seed=VALUE`.",
    ),
    "interpolation to nothing": (["seed=${modell.depth}"], "seed: nothing at ${modell.depth}", None),
    "interpolation to itself": (
        ["seed=${seed}"],
        "seed: Recursive interpolation detected",
        "Mend the interpolation.",
    ),
    "no such resolver": (
        ["seed=${foo:1}"],
        "seed: no resolver named 'foo'",
        "Use one of OmegaConf's or Hydra's: kit composes before it imports any of the project's code.",
    ),
    "no such variable": (
        ["seed=${oc.env:NOPE_X}"],
        "seed: environment variable 'NOPE_X' is not set",
        "Set it, or give a default: `${oc.env:NOPE_X,DEFAULT}`.",
    ),
    "no such search path": (
        ["hydra.searchpath=[/nope]"],
        "hydra.searchpath names '/nope', which is not there",
        "Give a folder as file:///absolute/path, or a package as pkg://package.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_on_the_command_line(project: Path, case: str) -> None:
    overrides, what, fix = CASES[case]
    error = problem(project, *overrides)
    assert (error.what, error.where) == (what, "command line")
    if fix is not None:
        assert error.fix == fix


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("a=[1,", "cannot read override 'a=[1,' at column 6: no viable alternative at input '[1,'"),
        ("seed='", 'cannot read override "seed=\'" at column 6: "\'" is not expected here'),
        ("seed", "cannot read override 'seed' at column 5: missing EQUAL at the end"),
        ("", "cannot read override '' at column 1: mismatched input the end"),
        ("seed=${", "cannot read override 'seed=${' at column 7: extraneous input '{' expecting the end"),
        ("model@a:b=x", "cannot read override 'model@a:b=x' at column 8: missing EQUAL at ':'"),
    ],
)
def test_an_override_out_of_the_grammar(project: Path, override: str, what: str) -> None:
    error = problem(project, override)
    assert (error.what, error.where) == (what, "command line")
    assert error.fix is not None
    assert error.fix.startswith("Write it as `key=value`")


def test_an_override_that_calls_a_function_wrongly(project: Path) -> None:
    error = problem(project, "seed=int(x)")
    assert error.what.startswith("cannot read override 'seed=int(x)': ValueError while evaluating 'int(x)'")


FILES: dict[str, tuple[dict[str, str], tuple[str, str | None, str | None]]] = {
    "YAML": (
        {"conf/model/small.yaml": "depth: 1\nrate: [1\n"},
        ("not valid YAML: expected ',' or ']', but got '<stream end>'", "conf/model/small.yaml:3", "Mend the file."),
    ),
    "key twice": (
        {"conf/model/small.yaml": "depth: 1\ndepth: 2\n"},
        ("not valid YAML: found duplicate key depth", "conf/model/small.yaml:2", "Mend the file."),
    ),
    "control character": (
        {"conf/model/small.yaml": "depth: \x01\n"},
        (
            "not valid YAML: unacceptable character #x0001: special characters are not allowed",
            "conf/model/small.yaml",
            "Mend the file.",
        ),
    ),
    "interpolation": (
        {"conf/model/small.yaml": "depth: ${\n"},
        (
            "depth: cannot read the interpolation: no viable alternative at input '${'",
            "conf/model/small.yaml",
            "Write it as `${key}`, or a plain text as `\\${`.",
        ),
    ),
    "interpolation to nothing": (
        {"conf/model/small.yaml": "depth: [1, '${deep}']\n"},
        ("model.depth[1]: nothing at ${deep}", "conf/model/small.yaml", "Mend the interpolation."),
    ),
    "missing value": (
        {"conf/model/small.yaml": "depth: ???\n"},
        ("no value for 'model.depth'", "conf/model/small.yaml", "Give it: `kit run model.depth=VALUE`."),
    ),
    "no choice": (
        {"conf/config.yaml": "defaults:\n  - model: ???\n  - experiment: baseline\n"},
        (
            "no choice for group 'model'",
            "conf/config.yaml",
            "Choose one: `kit run model=large`. Available: large, small.",
        ),
    ),
    "no such option": (
        {"conf/experiment/baseline.yaml": "# @package _global_\ndefaults:\n  - override /model: larg\n"},
        (
            "no option 'larg' in group 'model'",
            "conf/config.yaml",
            "Did you mean 'large'? Available: large, small.",
        ),
    ),
    "no such config": (
        {"conf/config.yaml": "defaults:\n  - nope\n"},
        ("no config 'nope'", "conf/config.yaml", "Create conf/nope.yaml, or take it out of the defaults list."),
    ),
    "no such group": (
        {"conf/experiment/baseline.yaml": "# @package _global_\ndefaults:\n  - override /modle: large\n"},
        ("group 'modle' is not in the defaults list", "conf/experiment/baseline.yaml", "Did you mean 'model'?"),
    ),
    "bad defaults": (
        {"conf/config.yaml": "defaults: 3\n"},
        (
            "Invalid defaults list in 'config', defaults must be a list (got int)",
            "conf/config.yaml",
            "Mend the configuration.",
        ),
    ),
    "two keys in a default": (
        {"conf/model/small.yaml": "defaults:\n  - {a: 1, b: 2}\n"},
        (
            "Too many keys in default item {'a': 1, 'b': 2}",
            "conf/model/small.yaml",
            "Mend the configuration.",
        ),
    ),
    "merge": (
        {"conf/config.yaml": "defaults:\n  - model: small\n  - _self_\nmodel: [3]\n"},
        ("Cannot merge DictConfig with ListConfig", "conf/config.yaml", "Mend the configuration."),
    ),
    "not a mapping": (
        {"conf/config.yaml": "- 1\n"},
        (
            "primary config 'config' must be a DictConfig, got ListConfig",
            "conf/config.yaml",
            "Mend the configuration.",
        ),
    ),
    "circle": (
        {"conf/model/small.yaml": "defaults:\n  - /model: small\n"},
        (
            "the defaults lists include each other without end",
            "conf/config.yaml",
            "Take the circle out of the `defaults` of the configs.",
        ),
    ),
    "search path": (
        {"conf/config.yaml": "defaults:\n  - experiment: baseline\nhydra:\n  searchpath: [/nope]\n"},
        (
            "hydra.searchpath names '/nope', which is not there",
            "conf/config.yaml",
            "Give a folder as file:///absolute/path, or a package as pkg://package.",
        ),
    ),
    "no task": (
        {"conf/experiment/baseline.yaml": "# @package _global_\nsteps: 1\n"},
        (
            "the configuration names no task",
            "conf/experiment/baseline.yaml",
            "Add `task: package.module.function` to conf/experiment/baseline.yaml.",
        ),
    ),
    "task without the package": (
        {"conf/experiment/baseline.yaml": "task: tiny.train.train\n"},
        (
            "the configuration names no task",
            "conf/experiment/baseline.yaml",
            (
                "Make `# @package _global_` the first line of conf/experiment/baseline.yaml: its keys now lie "
                "under `experiment`."
            ),
        ),
    ),
    "no experiment": (
        {"conf/config.yaml": "seed: 1\n"},
        (
            "the configuration names no task",
            "conf/config.yaml",
            "Add `task: package.module.function` to conf/experiment/<name>.yaml.",
        ),
    ),
    "task is not a name": (
        {"conf/experiment/baseline.yaml": "# @package _global_\ntask: train\n"},
        (
            "task: 'train' does not name a function",
            "conf/experiment/baseline.yaml",
            "Write it as `task: package.module.function`.",
        ),
    ),
    "task is a number": (
        {"conf/experiment/baseline.yaml": "# @package _global_\ntask: 3\n"},
        (
            "task: 3 does not name a function",
            "conf/experiment/baseline.yaml",
            "Write it as `task: package.module.function`.",
        ),
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_mistake_in_a_file(make_project: MakeProject, case: str) -> None:
    files, expected = FILES[case]
    assert told(problem(make_project(files))) == expected


def test_a_group_that_exists_but_is_not_used(make_project: MakeProject) -> None:
    root = make_project({"conf/data/big.yaml": "rows: 9\n"})
    assert told(problem(root, "data=big")) == (
        "group 'data' is not in the defaults list",
        "command line",
        "Add it with +data=big.",
    )


def test_keys_are_offered_even_when_the_choices_do_not_compose(make_project: MakeProject) -> None:
    root = make_project({"conf/model/small.yaml": "depth: 3\nrate: ${\n"})
    error = problem(root, "model=large", "stepps=3")
    assert error.fix is not None
    assert error.fix.startswith("Did you mean 'steps'?")


def test_a_config_that_is_not_utf8(project: Path) -> None:
    (project / "conf/model/small.yaml").write_bytes(b"depth: \xff\n")
    assert told(problem(project)) == (
        "a config is not UTF-8 text",
        "conf/model/small.yaml",
        "Save the file as UTF-8.",
    )


def test_a_config_that_cannot_be_read(project: Path) -> None:
    (project / "conf/model/small.yaml").unlink()
    (project / "conf/model/small.yaml").symlink_to("small.yaml")
    with pytest.raises(KitError) as caught:
        composed(project)
    assert "\n" not in str(caught.value)


def test_a_config_that_may_not_be_read(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.open

    def refuse(file: object, *args: object, **kwargs: object) -> object:
        if str(file).endswith("small.yaml"):
            raise PermissionError(13, "Permission denied", str(file))
        return real(file, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(builtins, "open", refuse)
    with pytest.raises(HostError, match="permission denied") as caught:
        composed(project)
    assert caught.value.where == str(project / "conf/model/small.yaml")


def test_no_folder_of_configs(project: Path) -> None:
    with pytest.raises(UserError) as caught:
        compose(project, "configs", "config", [])
    assert told(caught.value) == (
        "the folder of the configs is not there",
        "configs",
        "Create it, or name the right one as `config-dir` under [tool.kit] in pyproject.toml.",
    )


def test_no_primary_config(project: Path) -> None:
    with pytest.raises(UserError) as caught:
        compose(project, "conf", "main", [])
    assert told(caught.value) == (
        "the primary config 'main' is not there",
        "conf/main.yaml",
        "Create it, or name the right one as `config-name` under [tool.kit] in pyproject.toml.",
    )


def test_what_is_made_from_a_secret_is_known(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    config = """
        defaults:
          - _self_
          - experiment: baseline

        database:
          auth: ${oc.env:DB_PASSWORD}
          login: me ${oc.env:DB_PASSWORD} ${oc.env:HOME}
          decoded: ${oc.decode:${oc.env:DB_PASSWORD}}
          fallback: ${oc.env:API_KEY,none}
          behind: ${.auth}
          home: ${oc.env:HOME}
          password: plain
        copy: ${database.password}
        all: ${database}
        hosts:
          - name: a
            entry: ${oc.env:DB_PASSWORD}
          - ${oc.env:HOME}
        token: 5
        tokens: ${token}
        """
    monkeypatch.setenv("DB_PASSWORD", "1234")
    result = composed(make_project({"conf/config.yaml": config}))
    own = {f"database.{key}" for key in ("auth", "login", "decoded", "fallback", "behind")}
    assert result.secrets == own | {f"all.{key.partition('.')[2]}" for key in own} | {"copy", "hosts.0.entry"}
    assert result.config["database"]["decoded"] == 1234


def test_looking_for_secrets_leaves_nothing_behind(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from omegaconf import OmegaConf
    from omegaconf.resolvers import oc

    composed(project)
    monkeypatch.setattr(oc, "env", None)
    monkeypatch.setenv("NAME", "value")
    assert OmegaConf.create({"a": "${oc.env:NAME}"}).a == "value"


def test_the_jobs_logging_is_what_hydra_would_set_up(project: Path, tmp_path: Path) -> None:
    found = composed(project, run_dir=tmp_path / "run").logging
    assert found is not None
    assert found["handlers"]["file"]["filename"] == f"{tmp_path}/run/baseline.log"
    assert found["root"] == {"level": "INFO", "handlers": ["console", "file"]}
    assert composed(project, "hydra/job_logging=none").logging is None
    loud = composed(project, "hydra.verbose=[tiny,other]").logging
    assert loud is not None
    assert loud["loggers"] == {"tiny": {"level": "DEBUG"}, "other": {"level": "DEBUG"}}
    louder = composed(project, "hydra.verbose=true").logging
    assert louder is not None
    assert louder["root"]["level"] == "DEBUG"
