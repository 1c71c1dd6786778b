"""The square to drag in: a component whose value is a point {"x": …, "y": …} in [0, 1]²."""

from html import escape
from typing import Any

import gradio as gr

from lambda_eclipse.ui.i18n import LazyText, t

# The template never changes, so that Gradio renders nothing again during a drag. Two CSS variables
# place the handle; a visitor's words are set as textContent. Texts are in the template, not in
# props: an update before the view is first shown, such as a picture sent to a corner, drops all
# props that it does not set.
TEMPLATE = """
<div class="le-square">
  <span class="le-corner le-tl"></span><span class="le-corner le-tr"></span>
  <span class="le-corner le-bl"></span><span class="le-corner le-br"></span>
  <svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">
    <polyline class="le-trail" points="" vector-effect="non-scaling-stroke"/></svg>
  <div class="le-cross-x"></div><div class="le-cross-y"></div>
  <div class="le-handle" role="slider" tabindex="0" aria-valuemin="0" aria-valuemax="100"
    aria-label="{handle}" data-where="{where}"></div>
</div>
"""

SCRIPT = """
const clamp = (v) => Math.min(1, Math.max(0, v));
const part = (name) => element.querySelector('.le-' + name);
let dragging = null;
let moved = null;
let trail = [];

function show() {
  const point = props.value || {x: 0.5, y: 0.5};
  const square = part('square');
  if (!square) return;
  square.style.setProperty('--le-x', point.x);
  square.style.setProperty('--le-y', point.y);
  square.style.backgroundImage = props.backdrop ? 'url("' + encodeURI(props.backdrop) + '")' : '';
  const handle = part('handle');
  const across = Math.round(point.x * 100), down = Math.round(point.y * 100);
  handle.setAttribute('aria-valuenow', across);
  handle.setAttribute(
    'aria-valuetext', handle.dataset.where.replace('{x}', across).replace('{y}', down));
  ['tl', 'tr', 'bl', 'br'].forEach((name, i) => {
    part(name).textContent = (props.corners || [])[i] || '';
  });
  const line = trail.length ? trail : (props.path || []);
  part('trail').setAttribute('points', line.map((p) => p.join(',')).join(' '));
}

function begin() {
  if (!props.drawing) return trigger('start');
  const point = props.value || {x: 0.5, y: 0.5};
  trail = dragging === null && !trail.length ? [[point.x, point.y]] : trail;
}

function finish() {
  if (!props.drawing) return trigger('release');
  if (trail.length > 1) trigger('apply', {points: trail});
}

function put(x, y) {
  x = Math.round(clamp(x) * 100) / 100;
  y = Math.round(clamp(y) * 100) / 100;
  const old = props.value || {};
  if (old.x === x && old.y === y) return;
  props.value = {x: x, y: y};
  if (props.drawing) trail.push([x, y]);
  show();
  if (!props.drawing) trigger('input');
}

function follow(event) {
  const box = part('square').getBoundingClientRect();
  put((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
}

function letGo(event) {
  if (dragging !== event.pointerId) return;
  dragging = null;
  part('square').classList.remove('le-dragging');
  finish();
}

element.addEventListener('pointerdown', (event) => {
  if (event.button !== 0 || !event.target.closest('.le-square')) return;
  event.preventDefault();
  dragging = event.pointerId;
  element.setPointerCapture(event.pointerId);
  part('square').classList.add('le-dragging');
  trail = [];
  begin();
  part('handle').focus({preventScroll: true});
  follow(event);
});
element.addEventListener('pointermove', (event) => {
  if (dragging === event.pointerId) follow(event);
});
element.addEventListener('pointerup', letGo);
element.addEventListener('pointercancel', letGo);

element.addEventListener('keydown', (event) => {
  const step = event.shiftKey ? 0.01 : 0.05;
  const moves = {
    ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step],
    Home: [-1, 0], End: [1, 0], PageUp: [0, -1], PageDown: [0, 1],
  };
  const move = moves[event.key];
  if (!move) return;
  event.preventDefault();
  const point = props.value || {x: 0.5, y: 0.5};
  if (moved === null) begin();
  put(point.x + move[0], point.y + move[1]);
  clearTimeout(moved);
  moved = setTimeout(() => { moved = null; finish(); }, 500);
});

watch(['value', 'corners', 'backdrop'], show);
watch(['drawing', 'path'], () => { trail = []; show(); });
show();
"""

VERSION_LABELS = ("A1 + B1", "A2 + B1", "A1 + B2", "A2 + B2")


def _template() -> str:
    labels = {
        "handle": t("Point in the square"),
        "where": t("{x} percent across, {y} percent down", x="{x}", y="{y}"),
    }
    return TEMPLATE.format(**{name: escape(text, quote=True) for name, text in labels.items()})


class SquarePad(gr.HTML):
    """A square with a handle for mouse, touch and keyboard.

    Events: `start` before the first move, `input` while the point moves, `release` at the end of a
    drag (for the keyboard: half a second after the last key). While `drawing` is set, the only
    event is `apply`, with the drawn `points`, each [x, y]. `corners` are the four labels from top
    left to bottom right; `backdrop` is the data URI of a picture below the square, or ""; `path` is
    a line to show.
    """

    def __init__(self, value: Any = None, **kwargs: Any) -> None:
        kwargs.setdefault("corners", list(VERSION_LABELS))
        kwargs.setdefault("backdrop", "")
        kwargs.setdefault("drawing", False)
        kwargs.setdefault("path", [])
        super().__init__(
            value=value or {"x": 0.5, "y": 0.5},
            html_template=LazyText(_template),
            js_on_load=SCRIPT,
            apply_default_css=False,
            **kwargs,
        )

    def preprocess(self, payload: Any) -> tuple[float, float]:
        """The point (x, y), clamped to the square; the centre when the payload is no point."""
        try:
            x, y = float(payload["x"]), float(payload["y"])
        except (TypeError, KeyError, ValueError):
            return 0.5, 0.5
        return min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)

    def postprocess(self, value: Any) -> dict[str, float]:
        """The payload for (x, y) or {"x": …, "y": …}."""
        if isinstance(value, dict):
            value = value["x"], value["y"]
        x, y = value or (0.5, 0.5)
        return {"x": float(x), "y": float(y)}

    def api_info(self) -> dict[str, Any]:
        number = {"type": "number", "minimum": 0, "maximum": 1}
        return {"type": "object", "properties": {"x": number, "y": number}}

    def example_payload(self) -> dict[str, float]:
        return {"x": 0.5, "y": 0.5}

    def example_value(self) -> dict[str, float]:
        return {"x": 0.5, "y": 0.5}


class Line(gr.JSON):
    """A line of points [x, y] in [0, 1]², with that type in the API documentation."""

    is_template = True  # the browser renders it as its base class

    def api_info(self) -> dict[str, Any]:
        number = {"type": "number", "minimum": 0, "maximum": 1}
        point = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
        return {"type": "array", "items": point}

    def example_payload(self) -> list[list[float]]:
        return [[0, 0], [1, 1]]

    def example_value(self) -> list[list[float]]:
        return [[0, 0], [1, 1]]
