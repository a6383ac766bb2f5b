"""The GPU, its driver, and whether PyTorch is built for it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from kit.doctor._finding import Finding, Place, one_line

__all__ = ["look_at_gpu"]

_ASKED = ("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
_SECONDS = 8.0
_NVIDIA, _DISPLAY = "0x10de", "0x03"
_MISFITS = ("version mismatch", "couldn't communicate", "could not communicate", "failed to initialize nvml")


def look_at_gpu(
    _place: Place, *, devices: Path = Path("/sys/bus/pci/devices"), program: str | None = None
) -> Iterator[Finding]:
    """What `nvidia-smi` says; without it, whether there is a GPU all the same."""
    program = program or shutil.which("nvidia-smi")
    if program is None:
        if _has_nvidia(devices):
            fix = "Install the driver: `apt-get install nvidia-driver`, or see nvidia.com/drivers."
            yield Finding("gpu", ok=False, what="there is one, and no driver (nvidia-smi is missing)", fix=fix)
        else:
            yield Finding("gpu", ok=True, what="none; tasks run on the CPU")
        return
    try:
        done = subprocess.run([program, *_ASKED], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        fix = "See what the kernel says: `dmesg | grep -i nvrm`; a reboot may be needed."
        yield Finding("gpu", ok=False, what=f"nvidia-smi does not answer for {_SECONDS:.0f} s", fix=fix)
        return
    if done.returncode != 0:
        yield _refused(one_line(done.stdout + done.stderr))
        return
    yield from _judge([line.strip() for line in done.stdout.splitlines() if line.strip()])


def _refused(said: str) -> Finding:
    if "no devices were found" in said.lower():
        return Finding("gpu", ok=True, what="none, although there is a driver")
    fix = "See what is wrong: `nvidia-smi`."
    if any(words in said.lower() for words in _MISFITS):
        fix = "The driver and its kernel module do not fit: reboot, or `modprobe nvidia`."
    return Finding("gpu", ok=False, what=f"nvidia-smi: {said[:150]}", fix=fix)


def _judge(gpus: list[str]) -> Iterator[Finding]:
    what = f"{len(gpus)} x {gpus[0]}" if len(set(gpus)) == 1 and len(gpus) > 1 else "; ".join(gpus)
    built = _torch()
    if gpus and built is not None and built.endswith("+cpu"):
        fix = "Install the one for it: `uv pip install --torch-backend=auto --reinstall torch`."
        yield Finding("gpu", ok=False, what=f"{what}; PyTorch {built} cannot use it", fix=fix)
    else:
        yield Finding("gpu", ok=True, what=what or "none, although there is a driver")


def _torch() -> str | None:
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return None


def _has_nvidia(devices: Path) -> bool:
    """Whether the PCI bus has a display or compute device of NVIDIA's."""
    try:
        return any(
            (device / "vendor").read_text().strip() == _NVIDIA and (device / "class").read_text().startswith(_DISPLAY)
            for device in devices.iterdir()
        )
    except OSError:
        return False
