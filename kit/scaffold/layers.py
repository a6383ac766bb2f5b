"""`kit add`: a layer is an answer that was another at first; the template's commit stays as it is."""

from __future__ import annotations

from pathlib import Path

from kit.errors import UserError
from kit.scaffold.answers import Answer, nearest
from kit.scaffold.state import read_state
from kit.scaffold.update import Update, update

__all__ = ["LAYERS", "add_layer"]

LAYERS: dict[str, tuple[str, Answer]] = {
    "contracts": ("_contracts", True),
    "docker": ("_docker", True),
    "docs": ("_docs", True),
    "github": ("ci", "github"),
    "gitlab": ("ci", "gitlab"),
    "gpu": ("_gpu", True),
    "notebooks": ("_notebooks", True),
}
"""Each layer's question in the template, and the answer that turns it on."""

_OF_THE_EXAMPLE = {
    "contracts": "`kit data infer PATH` writes a contract from your own data.",
    "notebooks": "Make the folder notebooks/, and `uv add --group notebook jupyterlab nbstripout`.",
}
"""Layers that are about the template's data, and what to do where there is none."""


def add_layer(root: Path, layer: str) -> Update:
    """Turn a layer on.

    Args:
        root: The project.
        layer: Its name.

    Raises:
        UserError: If there is no such layer, the project has it, or has another in its place, or it is not for it.
    """
    if layer not in LAYERS:
        raise UserError(f"there is no layer {layer!r}", fix=nearest(layer, LAYERS))
    state = read_state(root)
    question, answer = LAYERS[layer]
    current = state.context.get(question)
    if layer in _OF_THE_EXAMPLE and state.context.get("framework") == "none":
        what = f"the template's {layer} are about the data of its example, which this project began without"
        raise UserError(what, where=str(root), fix=_OF_THE_EXAMPLE[layer])
    if current == answer:
        return Update(state.commit, state.commit, behind=False)
    if isinstance(answer, str) and current not in {None, "none"}:
        fix = f"To have the other in its place: `kit update --set {question}={answer}`."
        raise UserError(f"the project has {current} for its {question} already", where=str(root), fix=fix)
    return update(root, given={question: answer}, layer=layer)
