"""The examples to click: small pictures and a prompt, which is painted at once."""

import base64
import html
import io
from collections.abc import Sequence
from functools import cache
from itertools import groupby

import gradio as gr
from PIL import Image

from lambda_eclipse.ui.i18n import LazyText, t
from lambda_eclipse.ui.widgets.examples import Example

THUMB_PX = 72

# One listener on the component: its content is replaced, the element stays.
SCRIPT = """
element.addEventListener('click', (event) => {
  const card = event.target.closest('button[data-index]');
  if (card) trigger('click', {index: Number(card.dataset.index)});
});
"""


@cache
def thumbnail(path: str) -> str:
    """A small picture as a data URI, so that the page loads no further file."""
    with Image.open(path) as picture:
        small = picture.convert("RGBA")
        small.thumbnail((THUMB_PX, THUMB_PX))
        out = io.BytesIO()
        small.save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def _button(index: int, example: Example) -> str:
    pictures = "".join(
        f'<img src="{thumbnail(str(path))}" alt="" width="40" height="40">'
        for path in example.files()
    )
    prompt = html.escape(example.prompt)
    return (
        f'<button type="button" class="le-card" data-index="{index}">'
        f'<span class="le-thumbs">{pictures}</span><span>{prompt}</span></button>'
    )


def _template(examples: Sequence[Example], title: str) -> str:
    groups = []
    complete = [example for example in examples if example.complete()]
    for name, members in groupby(enumerate(complete), key=lambda pair: pair[1].group):
        buttons = "".join(_button(index, example) for index, example in members)
        groups.append(
            f'<div class="le-group"><h3>{html.escape(t(name))}</h3>'
            f'<div class="le-cards">{buttons}</div></div>'
        )
    head = f"<h2>{html.escape(t(title))}</h2>" if groups else ""
    return f'<div class="le-examples">{head}{"".join(groups)}</div>'


def example_list(examples: Sequence[Example], title: str, elem_id: str) -> gr.HTML:
    """Examples by group, below a marked `title`.

    The click event has the `index` among the complete examples.
    """
    return gr.HTML(
        html_template=LazyText(lambda: _template(examples, title)),
        js_on_load=SCRIPT,
        apply_default_css=False,
        elem_id=elem_id,
    )
