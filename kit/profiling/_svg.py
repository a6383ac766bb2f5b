"""A tree of calls as a picture: one SVG file that needs nothing else, and can be zoomed where scripts may run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from kit.profiling._stacks import Call, Owner

__all__ = ["draw"]

_WIDTH, _ROW, _TOP, _MARGIN = 1200.0, 18, 64, 10
"""Pixels, as all sizes here."""
_LETTER = 7.0
_NARROWEST = 0.4
_DEEPEST = 150
"""Calls; what goes deeper calls itself."""
_LINES = 3
_COLOURS = {
    Owner.PROJECT: ("#f4a259", "the project"),
    Owner.LIBRARY: ("#8cb4d9", "libraries"),
    Owner.PYTHON: ("#bcd2c4", "Python"),
    Owner.KIT: ("#d9d9d9", "kit"),
    Owner.GROUP: ("#eeeeee", ""),
}

_SCRIPT = """
var boxes = [].slice.call(document.querySelectorAll('g[data-x]'));
function at(box, name) { return parseFloat(box.getAttribute(name)); }
function zoom(chosen) {
  var x = at(chosen, 'data-x'), width = at(chosen, 'data-w'), top = at(chosen, 'data-y');
  boxes.forEach(function (box) {
    var from = at(box, 'data-x'), wide = at(box, 'data-w'), above = at(box, 'data-y') < top;
    var inside = from >= x - 1e-6 && from + wide <= x + width + 1e-6;
    var around = above && from <= x + 1e-6 && from + wide >= x + width - 1e-6;
    box.style.display = (inside && !above) || around ? '' : 'none';
    var left = around ? MARGIN : MARGIN + (from - x) / width * WIDTH;
    var size = around ? WIDTH : wide / width * WIDTH;
    var rect = box.querySelector('rect'), text = box.querySelector('text');
    rect.setAttribute('x', left);
    rect.setAttribute('width', Math.max(size - 0.5, 0.1));
    text.setAttribute('x', left + 3);
    var room = Math.floor((size - 6) / LETTER), name = box.getAttribute('data-name');
    text.textContent = room < 3 ? '' : name.length <= room ? name : name.slice(0, room - 2) + '..';
  });
}
boxes.forEach(function (box) { box.addEventListener('click', function () { zoom(box); }); });
"""


@dataclass(frozen=True, slots=True)
class _Box:
    """A call in the picture. `x` and `width` as parts of the whole."""

    call: Call
    x: float
    width: float
    depth: int


def draw(tree: Call, *, title: str, rate: int, seconds: float) -> str:
    """The flame graph: who called is above, and the wider a box, the more time went there.

    Args:
        tree: From the outermost call on.
        title: What it is of.
        rate: Looks a second.
        seconds: How long it was looked at.
    """
    boxes = list(_boxes(tree))
    height = _TOP + (max(box.depth for box in boxes) + 1) * _ROW + _MARGIN
    width = _WIDTH + 2 * _MARGIN
    told = (
        f"{seconds:.1f} s, in which threads were seen at work for {tree.samples / rate:.1f} s in all; "
        "what waits is not seen. Click on a box to enlarge it."
    )
    legend = "".join(_legend(index, *_COLOURS[owner]) for index, owner in enumerate(Owner) if _COLOURS[owner][1])
    script = _SCRIPT.replace("MARGIN", str(_MARGIN)).replace("WIDTH", str(_WIDTH)).replace("LETTER", str(_LETTER))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="11.5">\n'
        f"<title>{_text(title)}</title>\n"
        '<rect width="100%" height="100%" fill="#ffffff"/>\n'
        f'<text x="{_MARGIN}" y="22" font-size="15" font-weight="bold">{_text(title)}</text>\n'
        f'<text x="{_MARGIN}" y="42">{_text(told)}</text>\n{legend}'
        + "".join(_drawn(box, tree.samples, rate) for box in boxes)
        + f"<script>//<![CDATA[{script}//]]></script>\n</svg>\n"
    )


def _boxes(tree: Call) -> Iterator[_Box]:
    whole = max(tree.samples, 1)
    waiting = [_Box(tree, 0.0, 1.0, 0)]
    while waiting:
        box = waiting.pop()
        yield box
        if box.depth == _DEEPEST:
            continue
        x = box.x
        for call in sorted(box.call.calls.values(), key=_order):
            width = call.samples / whole
            if width * _WIDTH >= _NARROWEST:
                waiting.append(_Box(call, x, width, box.depth + 1))
            x += width


def _order(call: Call) -> tuple[bool, int, str]:
    """The task before what went on beside it."""
    return call.owner is Owner.GROUP, -call.samples, call.name


def _drawn(box: _Box, whole: int, rate: int) -> str:
    call = box.call
    left, width, top = _MARGIN + box.x * _WIDTH, box.width * _WIDTH, _TOP + box.depth * _ROW
    name = f"{call.name} ({call.place})" if call.place else call.name
    room = int((width - 6) / _LETTER)
    label = "" if room < 3 else name if len(name) <= room else f"{name[: room - 2]}.."
    hint = f"{name}\n{call.samples / rate:.2f} s, {call.samples / max(whole, 1):.1%}{_lines(call)}"
    return (
        f'<g data-x="{box.x:.6f}" data-w="{box.width:.6f}" data-y="{box.depth}" data-name="{_text(name)}">'
        f"<title>{_text(hint)}</title>"
        f'<rect x="{left:.2f}" y="{top}" width="{max(width - 0.5, 0.1):.2f}" height="{_ROW - 1}" rx="2" '
        f'fill="{_COLOURS[call.owner][0]}"/>'
        f'<text x="{left + 3:.2f}" y="{top + 12.5}">{_text(label)}</text></g>\n'
    )


def _lines(call: Call) -> str:
    """The lines where most of it went."""
    most = call.lines.most_common(_LINES)
    return "".join(f"\nline {line}: {count / max(call.samples, 1):.0%}" for line, count in most)


def _legend(index: int, colour: str, words: str) -> str:
    left = _MARGIN + _WIDTH - 425 + index * 112
    return (
        f'<rect x="{left}" y="12" width="12" height="12" rx="2" fill="{colour}"/>'
        f'<text x="{left + 17}" y="22">{words}</text>\n'
    )


def _text(text: str) -> str:
    """As XML has it, which some characters may not be in at all."""
    return escape("".join(c if c.isprintable() or c == "\n" else "?" for c in text))
