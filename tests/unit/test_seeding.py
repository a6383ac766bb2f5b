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
