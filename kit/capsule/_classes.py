"""What an object is, without asking it: a class may lie, or run code when it is asked."""

from __future__ import annotations

from typing import cast

__all__ = ["class_name", "is_a", "root"]


def is_a(value: object, *bases: type) -> bool:
    """`isinstance`, but for what the object says in `__class__`."""
    return issubclass(type(value), bases)


def class_name(kind: type) -> str:
    """`int` for a builtin, `tiny.train.Model` for another."""
    name = cast("str", type.__dict__["__qualname__"].__get__(kind))
    module = type.__dict__["__module__"].__get__(kind)
    return name if module == "builtins" or type(module) is not str else f"{module}.{name}"


def root(kind: type) -> str:
    """The package that it comes from, `builtins` for a builtin."""
    name = class_name(kind)
    return name.partition(".")[0] if "." in name else "builtins"
