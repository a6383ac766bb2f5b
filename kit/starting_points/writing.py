"""New files, all of them or none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from kit.errors import UserError, from_os_error

__all__ = ["new_files"]


@contextlib.contextmanager
def new_files(root: Path, files: Mapping[str, str]) -> Iterator[None]:
    """Write files to be tried: they stay if what follows goes well, else they are taken back.

    Args:
        root: The project.
        files: Their texts, by path.

    Raises:
        UserError: If one of them is there already.
        HostError: If one cannot be written.
    """
    for path in files:
        if (root / path).is_symlink() or (root / path).exists():
            raise UserError("is there already", where=path, fix="Take another name; nothing is overwritten.")
    done: list[Path] = []
    try:
        try:
            for path, text in files.items():
                _write(root / path, text, done)
        except OSError as error:
            raise from_os_error(error) from error
        yield
    except BaseException:
        for place in reversed(done):
            with contextlib.suppress(OSError):
                place.rmdir() if place.is_dir() else place.unlink()
        raise


def _write(place: Path, text: str, done: list[Path]) -> None:
    for folder in reversed([one for one in place.parents if not one.exists()]):
        folder.mkdir()
        done.append(folder)
    with place.open("xb") as file:  # never over what has come to be there
        done.append(place)
        file.write(text.encode())
