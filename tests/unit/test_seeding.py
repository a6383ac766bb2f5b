"""One seed, the same numbers."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from kit._seeding import seed_everything


@pytest.fixture(autouse=True)
def _own_state() -> object:
    before = random.getstate()
    yield
    random.setstate(before)


def test_python_draws_the_same_again() -> None:
    draws = []
    for seed in (5, 5, 6):
        seed_everything(seed)
        draws.append(random.random())
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32, 2**63])
def test_numpy_draws_the_same_again(seed: int) -> None:
    numpy = pytest.importorskip("numpy")
    draws = []
    for _ in range(2):
        seed_everything(seed)
        draws.append(numpy.random.random())
    assert draws[0] == draws[1]


def test_torch_draws_the_same_again() -> None:
    torch = pytest.importorskip("torch")
    draws = []
    for seed in (5, 5, 6):
        seed_everything(seed)
        draws.append(float(torch.rand(1)))
    assert draws[0] == draws[1] != draws[2]


def test_no_library_is_loaded_to_be_seeded() -> None:
    code = "import sys; from kit._seeding import seed_everything; seed_everything(1); print({*sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'random'" in loaded
    assert not any(f"'{name}'" in loaded for name in ("numpy", "torch"))


@pytest.mark.parametrize(
    ("library", "draw"), [("numpy.random", "numpy.random.random()"), ("torch", "float(torch.rand(1))")]
)
def test_a_library_that_is_imported_later_is_seeded_then(library: str, draw: str) -> None:
    pytest.importorskip(library.partition(".")[0])
    code = (
        "import sys; from kit._seeding import seed_everything; seed_everything(int(sys.argv[1])); "
        f"import {library}; first = {draw}; seed_everything(int(sys.argv[1])); "
        f"import importlib.util as u; assert u.find_spec('{library}').loader.get_filename(); "
        f"print(first, {draw})"
    )
    said = [
        subprocess.run([sys.executable, "-c", code, seed], check=True, capture_output=True, text=True).stdout.split()
        for seed in ("5", "5", "6")
    ]
    assert said[0][0] == said[0][1]
    assert said[0] == said[1] != said[2]
