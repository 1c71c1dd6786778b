"""The page's JavaScript, and the texts that it shows.

`access.js` is for screen readers and keyboards: it names and groups controls, announces progress,
and keeps the focus. `files.js` accepts files dropped or pasted anywhere on the page.
"""

import json
from pathlib import Path

from lambda_eclipse.ui.i18n import LazyText, mark, t

ACCESS, FILES = (
    Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("access.js", "files.js")
)
# The start of a PNG's text chunk with a recipe; see `recipe.KEYWORD`.
RECIPE_MARK = "zTXtlambda-eclipse\0"

# Gradio's texts for controls and failures, which it never translates, and ours for them.
NAMES: dict[str, str] = {
    "Upload file": mark("{label}: upload a file"),
    "Capture from camera": mark("{label}: use the camera"),
    "Paste from clipboard": mark("{label}: paste from the clipboard"),
    "grant webcam access": mark("{label}: turn on the camera"),
    "capture photo": mark("{label}: take a photo"),
    "Remove Image": mark("{label}: remove the picture"),
    "Fullscreen": mark("{label}: full screen"),
    "Exit fullscreen mode": mark("{label}: exit full screen"),
    "Download": mark("{label}: download"),
    "Download All": mark("{label}: download all"),
    "Remove this file": mark("Remove the file"),
    "Reset to default value": mark("{label}: reset to default"),
    "Thumbnail": mark("picture {number} of {total}"),
    "Pan": mark("Pan"),
    "Zoom in": mark("Zoom in"),
    "Zoom out": mark("Zoom out"),
    "Undo": mark("Undo"),
    "Redo": mark("Redo"),
    "Clear canvas": mark("Clear canvas"),
    "Brush": mark("Brush"),
    "Erase": mark("Eraser"),
    "Brush Size": mark("Brush size"),
    "Color": mark("Brush color"),
    "Eraser Size": mark("Eraser size"),
    "Clear": mark("Clear"),
    "Close": mark("Close"),
    "More tabs": mark("More tabs"),
    "Error": mark("Error"),
    "Connection Lost": mark("Connection lost"),
    "Connection to the server was lost. Attempting reconnection...": mark(
        "The connection to the server was lost. Reconnecting…"
    ),
}
# Filled in by the script.
FIELDS = {"label": "{label}", "number": "{number}", "total": "{total}"}


def script() -> LazyText:
    """The script that runs when the page is loaded, with texts in the current language."""

    def make() -> str:
        labels = {theirs: t(ours, **FIELDS) for theirs, ours in NAMES.items()}
        names, recipe_mark = json.dumps(labels), json.dumps(RECIPE_MARK)
        return f"() => {{ ({ACCESS})({names}); ({FILES})({recipe_mark}); }}"

    return LazyText(make)
