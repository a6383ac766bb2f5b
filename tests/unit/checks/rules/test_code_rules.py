"""Code as it is read: what cannot be repeated, what leaks, and what works beside the run."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping

import pytest

from kit.checks.registry import rule
from kit.checks.rule import Finding
from tests.unit.checks.projects import fixed, found


def code(text: str, *, path: str = "src/tiny/model.py") -> dict[str, str]:
    return {path: textwrap.dedent(text).lstrip("\n")}


def places(findings: list[Finding]) -> list[tuple[int | None, int | None]]:
    return [(finding.line, finding.column) for finding in findings]


def lines_found(which: str, files: Mapping[str, str]) -> list[int | None]:
    return [finding.line for finding in found(rule(which), files)]


# Randomness


def test_generators_without_a_seed_are_found_whatever_they_are_imported_as() -> None:
    bad = code(
        """
        import random
        import time
        import numpy as np
        from numpy.random import default_rng as rng

        a = np.random.default_rng()
        b = rng(None)
        c = random.Random()
        np.random.seed(int(time.time()))
        """
    )
    findings = found(rule("KIT301"), bad)

    assert places(findings) == [(6, 5), (7, 5), (8, 5), (9, 1)]
    assert findings[0].message == "numpy.random.default_rng() without a seed takes one from the operating system"
    assert findings[3].message == "numpy.random.seed() is seeded with something else each time"


def test_generators_with_a_seed_tests_and_names_that_only_look_alike_are_well() -> None:
    good = code(
        """
        import random
        import numpy as np

        def draw(seed, settings, pool):
            pool.seed()
            return np.random.default_rng(seed), random.Random(0), np.random.default_rng(**settings), random.Random(x=1)
        """
    )
    assert found(rule("KIT301"), good) == []
    assert found(rule("KIT301"), code("import random\nrandom.Random()\n", path="tests/test_draw.py")) == []
    assert found(rule("KIT301"), {"src/broken.py": "import random\nrandom.Random(\n"}) == []


SCRIPT = """
    import numpy as np
    from sklearn.model_selection import train_test_split

    def main():
        {seed}
        train, test = train_test_split(range(9){state})
        return np.random.normal()

    if __name__ == "__main__":
        main()
    """


def test_a_script_that_draws_without_a_seed_is_found_once() -> None:
    (finding,) = found(rule("KIT302"), code(SCRIPT.format(seed="", state="")))

    assert (finding.line, finding.column) == (6, 19)
    assert finding.message.startswith("sklearn.model_selection.train_test_split(), and 1 more here, without a seed")


@pytest.mark.parametrize("seed", ["np.random.seed(0)", "seed_everything(0)"])
def test_a_script_that_seeds_and_a_module_that_is_none_are_well(seed: str) -> None:
    assert found(rule("KIT302"), code(SCRIPT.format(seed=seed, state=""))) == []
    assert found(rule("KIT302"), code(SCRIPT.format(seed="", state="").replace('"__main__"', '"other"'))) == []
    assert lines_found("KIT302", code(SCRIPT.format(seed="", state=", random_state=1"))) == [7]


# Leakage


@pytest.mark.parametrize(
    ("learns", "column"),
    [
        ("X = StandardScaler().fit_transform(df.drop('y', axis=1))", 9),
        ("scaler.fit(df[['a']])\n    X = scaler.transform(df)", 5),
        ("X, y = SMOTE().fit_resample(df, df['y'])", 12),
        ("values = np.array(df)\n    X = scaler.fit_transform(values)", 9),
    ],
)
def test_what_learns_from_all_rows_before_they_are_split_is_found(learns: str, column: int) -> None:
    text = f"import numpy as np\n\n\ndef make(df, scaler):\n    {learns}\n    return train_test_split(X, df['y'])\n"
    text = text.replace("X, df['y']", "df") if "SMOTE" in learns else text
    (finding,) = found(rule("KIT303"), {"src/tiny/data.py": text})

    assert finding.message.split("()")[1].startswith(" sees all rows: they are split only in line")
    assert finding.column == column


@pytest.mark.parametrize(
    "well",
    [
        "a, b = train_test_split(df)\n    scaler.fit(a)",
        "y = LabelEncoder().fit_transform(df['y'])\n    return train_test_split(df, y)",
        "encoder = LabelEncoder()\n    y = encoder.fit_transform(df['y'])\n    return train_test_split(df, y)",
        "old = pd.read_csv('old')\n    scaler.fit(old)\n    new = pd.read_csv('new')\n    return train_test_split(new)",
        "self.model.fit(self.old)\n    return train_test_split(self.new)",
        "def inner(df):\n        scaler.fit(df)\n    return train_test_split(df)",
        "scaler.fit(df)\n    df = pd.read_csv('new')\n    return train_test_split(df)",
        "X, y = make_moons()\n    scaler.fit(X, y)\n    X, y = make_blobs()\n    return train_test_split(X, y)",
        "for df in tables:\n        a, b = train_test_split(df)\n    scaler.fit(a)\n    return train_test_split(b)",
        "scaler.fit(df)\n    a, b = train_test_split(df)\n    scaler.fit(a)",
    ],
)
def test_what_learns_from_the_training_part_or_from_other_rows_is_well(well: str) -> None:
    text = f"import pandas as pd\n\n\ndef make(self, df, scaler):\n    {well}\n"
    assert found(rule("KIT303"), {"src/tiny/data.py": text}) == []


def test_the_target_among_the_features_is_found_in_constants_calls_and_configs() -> None:
    files = code(
        """
        TARGET = "price"
        FEATURES = ["area", "rooms", "price"]

        def fit(model, houses):
            model.fit(houses, houses["price"])
        """
    ) | {"conf/data/houses.yaml": "target: price\nfeatures:\n  numeric: [area, price]\n  categorical: [city]\n"}
    findings = found(rule("KIT304"), files)

    assert [(finding.path, finding.line) for finding in findings] == [
        ("conf/data/houses.yaml", 1),
        ("src/tiny/model.py", 2),
        ("src/tiny/model.py", 5),
    ]
    assert findings[2].message == "fit() is given the table with its target 'price' in it"


def test_a_target_that_is_none_of_the_features_is_well() -> None:
    files = code(
        """
        TARGET = "price"
        FEATURES = ("area", "price_per_room")

        def fit(model, houses, table):
            model.fit(houses[list(FEATURES)], houses[TARGET])
            model.fit(table, houses["price"])
        """
    ) | {"conf/data/houses.yaml": "target: price\nfeatures: [area]\nlabel: [price]\n"}
    assert found(rule("KIT304"), files) == []
    chosen = "from sklearn.compose import ColumnTransformer\n\nmodel.fit(houses, houses['price'])\n"
    assert found(rule("KIT304"), {"src/tiny/model.py": chosen}) == []


def test_features_from_later_rows_are_found() -> None:
    bad = code(
        """
        FEATURES = ["tomorrow's rain", "wind", "sun"]

        def make(df):
            df["wind"] = df["wind_raw"].shift(-1)
            df["target"] = df["sun"].shift(-1)
            df["other"] = df["sun"].shift(-1)

        def add_features(df):
            df["mean"] = df["sun"].rolling(3, center=True).mean()
            return df.assign(cloud=df["cloud"].bfill(), y_next=df["sun"].shift(periods=-1))
        """
    )
    findings = found(rule("KIT305"), bad)

    assert [finding.line for finding in findings] == [4, 9, 10]
    assert findings[0].message == "the feature 'wind' is taken from a later row"


def test_features_from_earlier_rows_are_well() -> None:
    good = code(
        """
        def add_features(df, n):
            df["wind"] = df["wind"].shift(1)
            df["mean"] = df["sun"].rolling(3).mean().ffill()
            df["lag"] = df["sun"].shift(-n)
            return df
        """
    )
    assert found(rule("KIT305"), good) == []


# Models and notebooks


def test_a_model_in_a_pickle_is_found() -> None:
    bad = code(
        """
        import pickle
        import joblib
        import torch
        from sklearn.svm import SVC

        def save(self, path, thing, net):
            thing.fit([[0], [1]], [0, 1])
            joblib.dump(thing, path)
            with open(path, "wb") as file:
                pickle.dump(self.model, file)
            torch.save(net, path)
        """
    )
    findings = found(rule("KIT306"), bad)

    assert places(findings) == [(8, 5), (10, 9), (11, 5)]
    assert "net.state_dict()" in findings[2].hint


def test_pickles_of_other_things_and_weights_are_well() -> None:
    good = code(
        """
        import json, pickle, torch

        def save(model, path, words, file):
            pickle.dump(words, file)
            json.dump(model, file)
            torch.save(model.state_dict(), path)
            torch.save(model_state_dict, path)
            return pickle.dumps(model)
        """
    )
    assert found(rule("KIT306"), good) == []


def notebook(
    *cells: tuple[int | None, list[str]], metadata: Mapping[str, object] | None = None, indent: int = 1
) -> str:
    made = [
        {
            "cell_type": "code",
            "execution_count": count,
            "id": str(number),
            "metadata": {"ExecuteTime": "now", **(metadata or {})},
            "outputs": [{"name": "stdout", "output_type": "stream", "text": [text]} for text in texts],
            "source": ["print('ä')"],
        }
        for number, (count, texts) in enumerate(cells)
    ]
    text = {"cell_type": "markdown", "id": "m", "metadata": {}, "source": []}
    content = {"cells": [text, *made], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=indent, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("indent", [1, 2])
def test_outputs_of_a_notebook_are_found_and_cleared_and_nothing_else_changes(indent: int) -> None:
    name, bad = "notebooks/look.ipynb", notebook((1, ["ä\n"]), (2, []), indent=indent)
    (finding,) = found(rule("KIT307"), {name: bad})
    clear = fixed(rule("KIT307"), {name: bad}, name)

    assert finding.message.startswith("cell 2 has outputs")
    assert bad.splitlines()[(finding.line or 0) - 1].strip() == '"output_type": "stream",'
    assert clear == notebook((None, []), (None, []), indent=indent).replace('"ExecuteTime": "now"', "").replace(
        f"{{\n{' ' * indent * 4}\n{' ' * indent * 3}}}", "{}"
    )
    assert found(rule("KIT307"), {name: clear}) == []


def test_outputs_that_are_to_be_kept_and_those_of_the_documentation_are_well() -> None:
    kept = notebook((1, ["x"]), metadata={"tags": ["keep_output"]})

    assert found(rule("KIT307"), {"notebooks/look.ipynb": kept, "docs/shown.ipynb": notebook((1, ["x"]))}) == []
    assert found(rule("KIT307"), {"notebooks/broken.ipynb": "<<<<<<< HEAD\n{}"}) == []


def test_cells_that_were_run_out_of_order_are_found() -> None:
    name, bad = "look.ipynb", notebook((3, []), (None, []), (2, []), (5, []))
    (finding,) = found(rule("KIT308"), {name: bad})

    assert finding.message.startswith("cell 4 [2] was run before cell 2 [3]")
    assert found(rule("KIT308"), {name: fixed(rule("KIT308"), {name: bad}, name)}) == []
    assert found(rule("KIT308"), {name: notebook((3, []), (None, []), (4, []))}) == []


@pytest.mark.parametrize(
    "path",
    ["/home/ann/data.csv", "/Users/ann/x", "/mnt/disk/data", "C:\\\\data\\\\x.csv", "D:/data", "file:///home/ann/x"],
)
def test_a_path_of_one_machine_is_found(path: str) -> None:
    assert places(found(rule("KIT309"), code(f'import pandas as pd\n\nraw = pd.read_csv("{path}")\n'))) == [(3, 19)]


def test_texts_that_are_no_paths_of_a_machine_are_well() -> None:
    good = code(
        '''
        """Reads /home/ann/data.csv, say."""

        URL = "https://example.org/home/ann"
        ROUTE = "/home/"
        KIND = "a:b"
        NULL = "/dev/null"
        PATTERN = r"/home/[a-z]+"
        PROSE = "/home/ann is where\\nit was"
        parser.add_argument("--data", help="/home/ann/data.csv, say")
        '''
    )
    assert found(rule("KIT309"), good) == []


# Tasks: only the code that they come to


def task(body: str, *, imports: str = "", more: str = "") -> dict[str, str]:
    indented = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    made = f"{imports}\n\ndef train(cfg, run):\n{indented}\n    return {{}}\n{more}"
    return {"src/tiny/train.py": made, "conf/experiment/baseline.yaml": "# @package _global_\ntask: tiny.train.train\n"}


def test_a_task_that_manages_runs_itself_is_found_also_in_what_it_calls() -> None:
    files = task("fit(cfg)", imports="from tiny.model import fit") | code(
        """
        import mlflow

        mlflow.set_tracking_uri("http://localhost:5000")

        def fit(cfg):
            with mlflow.start_run():
                mlflow.log_metric("x", 1)
            with mlflow.start_run(nested=True):
                pass

        def serve():
            mlflow.set_experiment("other")

        if __name__ == "__main__":
            mlflow.set_experiment("by hand")
        """
    )
    findings = found(rule("KIT310"), files)

    assert [(finding.path, finding.line) for finding in findings] == [
        ("src/tiny/model.py", 3),
        ("src/tiny/model.py", 6),
    ]
    assert findings[1].message == "mlflow.start_run() starts a second run beside kit's, which MLflow refuses"


def test_code_that_no_task_comes_to_is_not_a_task() -> None:
    aside = code(
        "import mlflow, os\n\ndef fit():\n    mlflow.start_run()\n    os.chdir('/')\n", path="src/tiny/aside.py"
    )
    files = task("return fit(cfg)", more="\n\ndef fit(cfg): ...\n") | aside

    assert found(rule("KIT310"), files) == []
    assert found(rule("KIT311"), files) == []


def test_a_name_that_is_handed_on_by_the_package_and_methods_are_followed() -> None:
    files = (
        task("Model(cfg).fit()", imports="from tiny import Model")
        | {"src/tiny/__init__.py": "from .model import Model\n"}
        | code("import os\n\nclass Model:\n    def fit(self):\n        os.chdir('out')\n")
    )
    findings = found(rule("KIT311"), files)

    assert [(finding.path, finding.line, finding.column) for finding in findings] == [("src/tiny/model.py", 5, 9)]


@pytest.mark.parametrize(
    "call",
    [
        "table.to_csv('data/out.csv')",
        "open('data/out.csv', 'w')",
        "Path('data/out.csv').write_text('')",
        "Path('data/out.csv').open('w')",
        "np.save('data/out.csv', [])",
        "torch.save({}, 'data/out.csv')",
        "table.to_csv(Path('data/out.csv'))",
    ],
)
def test_a_task_that_writes_to_a_fixed_path_is_found(call: str) -> None:
    imports = "import numpy as np\nimport torch\nfrom pathlib import Path"
    (finding,) = found(rule("KIT312"), task(call, imports=imports))

    assert finding.message.startswith("'data/out.csv' is written outside of the run")
    assert finding.hint == "Write to `run.dir / 'out.csv'`, and keep it with `run.artifact(path)`."


@pytest.mark.parametrize(
    "call",
    [
        "table.to_csv(run.dir / 'out.csv')",
        "open('data/in.csv')",
        "open(run.dir / 'x', 'w')",
        "table.to_csv('s3://bucket/x.csv')",
        "(run.dir / 'x').write_text('')",
        "gzip.open('data/in.gz', 'rb')",
    ],
)
def test_a_task_that_reads_or_writes_to_its_run_is_well(call: str) -> None:
    assert found(rule("KIT312"), task(call, imports="import gzip")) == []


def test_a_secret_that_is_printed_is_found() -> None:
    bad = code(
        """
        import logging
        log = logging.getLogger(__name__)

        def connect(cfg, password):
            print("as", cfg.db.password)
            log.info(f"key {cfg['api_key']}")
            logging.warning("with %s", password)
        """
    )
    findings = found(rule("KIT313"), bad)

    assert [finding.line for finding in findings] == [5, 6, 7]
    assert (findings[0].column, findings[0].message) == (17, "'password' is printed: logs are copied, sent and kept")


def test_tokens_of_texts_and_what_says_something_about_a_secret_are_well() -> None:
    good = code(
        """
        def show(token, tokens, password, cfg, math):
            print(token, tokens, len(password), cfg.pad_token, f"{bool(password)}")
            math.log(password)
        """
    )
    assert found(rule("KIT313"), good) == []


def test_a_task_that_asks_what_day_it_is_is_found() -> None:
    imports = "import datetime as dt\nfrom datetime import datetime, date, timedelta\nimport pandas as pd"
    bad = "until = datetime.now() - timedelta(days=1)\nday = date.today()\nat = dt.datetime.utcnow()\n"
    bad += "x = pd.Timestamp('now')"

    assert lines_found("KIT314", task(bad, imports=imports)) == [6, 7, 8, 9]


def test_a_task_that_takes_the_time_or_knows_when_it_was_due_is_well() -> None:
    imports = "from datetime import datetime"
    good = "start = datetime.now()\nprint(datetime.now() - start)\nrun.tag('at', datetime.now().isoformat())"
    due = "at = run.scheduled_at or datetime.now()"

    assert found(rule("KIT314"), task(good, imports=imports)) == []
    assert found(rule("KIT314"), task(due, imports=imports)) == []


@pytest.mark.parametrize(
    "body",
    [
        "for path in Path('data').glob('*.csv'):\n    read(path)",
        "tables = [read(path) for path in os.listdir('data')]",
        "paths = list(Path('data').iterdir())",
        "return glob.glob('data/*.csv')",
    ],
)
def test_files_in_the_order_of_the_file_system_are_found(body: str) -> None:
    imports = "import glob, os\nfrom pathlib import Path\nfrom reading import read"
    (finding,) = found(rule("KIT315"), task(body, imports=imports))

    assert finding.hint.startswith("Sort them: `sorted(")


@pytest.mark.parametrize(
    "body",
    [
        "for path in sorted(Path('data').glob('*.csv')):\n    read(path)",
        "paths = list(Path('data').iterdir())\npaths.sort()",
        "paths = os.listdir('data')\nfor path in sorted(paths):\n    read(path)",
        "return len(list(Path('data').glob('*')))",
        "for path in Path('data').glob('*.tmp'):\n    path.unlink()",
        "found = {path.name for path in Path('data').iterdir()}",
        "assert any(Path('data').iterdir())",
    ],
)
def test_files_that_are_sorted_counted_or_removed_are_well(body: str) -> None:
    assert (
        found(rule("KIT315"), task(body, imports="import os\nfrom pathlib import Path\nfrom reading import read")) == []
    )
