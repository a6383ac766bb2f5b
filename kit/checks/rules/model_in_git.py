"""Trained models that git keeps; they are what runs make."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from kit.checks._places import in_lfs, is_template
from kit.checks._python import is_test
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_ENDINGS = frozenset({
    ".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".ckpt", ".onnx", ".safetensors", ".skops",
    ".keras", ".tflite", ".cbm", ".bst", ".ubj", ".gguf", ".mlmodel",
})  # fmt: skip


def _check(tree: Tree) -> Iterator[Finding]:
    models = [path for path in tree.wanted if path in tree.tracked and _is_model(path)]
    pointers = in_lfs(tree, models) if models else set()
    for path in models:
        if path not in pointers:
            name = shlex.quote(path)
            hint = (
                f"Keep it with its run (`run.artifact(path)`), or in DVC: `git rm --cached {name} && dvc add {name}`."
            )
            yield Finding(path, "a trained model in git: nothing says which run made it", hint=hint)


def _is_model(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in _ENDINGS and not is_test(path) and not is_template(path)


RULE = Rule("KIT202", "model-in-git", "A trained model is in git", Severity.WARNING, _check)
