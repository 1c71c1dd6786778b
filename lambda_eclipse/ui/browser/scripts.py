"""What runs in the browser beside Gradio, and what it says there.

`access.js` is for those who listen and those who use keys: it gives names, groups, and news of what
runs, and keeps the focus. `files.js` takes what is dropped or pasted anywhere on the page.
"""

import json
from pathlib import Path

from lambda_eclipse.ui.i18n.spoken import Spoken
from lambda_eclipse.ui.i18n.texts import t

ACCESS, FILES = (
    Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("access.js", "files.js")
)
# How a PNG's chunk of text with a recipe begins; see `recipe.KEYWORD`.
RECIPE_MARK = "zTXtlambda-eclipse\0"

# What Gradio says of its controls and of failures, in English to everyone, and the keys of ours.
NAMES: dict[str, str] = {
    "Upload file": "name.upload",
    "Capture from camera": "name.camera",
    "Paste from clipboard": "name.paste",
    "grant webcam access": "name.webcam",
    "capture photo": "name.capture",
    "Remove Image": "name.remove",
    "Fullscreen": "name.fullscreen",
    "Exit fullscreen mode": "name.fullscreen.exit",
    "Download": "name.download",
    "Download All": "name.download.all",
    "Remove this file": "name.file.remove",
    "Reset to default value": "name.reset",
    "Thumbnail": "name.picture",
    "Pan": "name.pan",
    "Zoom in": "name.zoom.in",
    "Zoom out": "name.zoom.out",
    "Undo": "name.undo",
    "Redo": "name.redo",
    "Clear canvas": "name.canvas.clear",
    "Brush": "name.brush",
    "Erase": "name.eraser",
    "Brush Size": "name.brush.size",
    "Color": "name.brush.colour",
    "Eraser Size": "name.eraser.size",
    "Clear": "name.clear",
    "Close": "name.close",
    "More tabs": "name.more",
    "Error": "error.title",
    "Connection Lost": "error.lost.title",
    "Connection to the server was lost. Attempting reconnection...": "error.lost",
}
# Filled in by the script.
FIELDS = {"label": "{label}", "number": "{number}", "total": "{total}"}


def script() -> Spoken:
    """The script to run when the page is there, with the names in the current language."""

    def make() -> str:
        said = {theirs: t(key, **FIELDS) for theirs, key in NAMES.items()}
        names, mark = json.dumps(said), json.dumps(RECIPE_MARK)
        return f"() => {{ ({ACCESS})({names}); ({FILES})({mark}); }}"

    return Spoken(make)
