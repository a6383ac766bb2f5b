"""Models that are written as pickles, which run code when they are read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from kit.checks._python import argument, last, sources
from kit.checks.rule import Finding, Rule, Severity
from kit.checks.tree import Tree

__all__ = ["RULE"]

_DUMPS = frozenset({"pickle.dump", "joblib.dump", "cloudpickle.dump", "dill.dump", "sklearn.externals.joblib.dump"})
_MODEL = re.compile(
    r"(?i)(?:^|_)(?:models?|clf|classifier|regressor|reg|estimator|pipe|pipeline|scaler|encoder|transformer|vectorizer|imputer|"
    r"preprocessor|predictor|booster|forest|net|network|kmeans|pca|svm|svc|knn|xgb|lgbm?|grid|grid_search)\d*(?:_|$)"
)
_PART = re.compile(
    r"(?i)(?:^|_)(?:state|state_dict|dict|weights|params|parameters|config|metrics|names?|paths?|ckpt|checkpoint)$"
)
"""What is made of a model and is none, `model_state_dict`."""
_HINT = "Write it with skops (`kit.artifacts.dump_skops`), ONNX or safetensors, which hold no code."


def _check(tree: Tree) -> Iterator[Finding]:
    for source in sources(tree, "dump(", "torch.save("):
        fitted = {_called(call.node.func) for call in source.calls if call.method == "fit"}
        for call in source.calls:
            model = argument(call.node, "value" if call.name == "joblib.dump" else "obj", 0)
            name = "" if model is None else _called(model)
            if call.name in _DUMPS and name and (name in fitted or _is_model(name)):
                message = f"{call.name}() writes a model as a pickle: to read it is to run its code"
                yield source.find(call.node, message, _HINT)
            elif call.name == "torch.save" and _is_model(name):
                message = "torch.save() of a whole model writes a pickle: to read it is to run its code"
                hint = f"Save `{name}.state_dict()`, and load it with `weights_only=True`."
                yield source.find(call.node, message, hint)


def _is_model(name: str) -> bool:
    return _MODEL.search(name) is not None and _PART.search(name) is None


def _called(node: ast.AST) -> str:
    """`model` of `model` and of `self.model`, and of `self.model.fit`; empty for what is no name."""
    return last(node.value if isinstance(node, ast.Attribute) and node.attr == "fit" else node)


RULE = Rule("KIT306", "pickled-model", "A model is written as a pickle", Severity.WARNING, _check)
