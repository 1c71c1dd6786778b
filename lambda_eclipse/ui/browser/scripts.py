"""What runs in the browser beside Gradio, and what it says there.

`access.js` is for those who listen and those who use keys: it gives names, groups, and news of what
runs, and keeps the focus. `files.js` takes what is dropped or pasted anywhere on the page.
"""

import json
from pathlib import Path

from lambda_eclipse.ui.i18n import LazyText, mark, t

ACCESS, FILES = (
    Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("access.js", "files.js")
)
# How a PNG's chunk of text with a recipe begins; see `recipe.KEYWORD`.
RECIPE_MARK = "zTXtlambda-eclipse\0"

# What Gradio says of its controls and of failures, in English to everyone, and our texts for them.
NAMES: dict[str, str] = {
    "Upload file": mark("{label}: upload a file"),
    "Capture from camera": mark("{label}: use the camera"),
    "Paste from clipboard": mark("{label}: paste from the clipboard"),
    "grant webcam access": mark("{label}: switch the camera on"),
    "capture photo": mark("{label}: take the photo"),
    "Remove Image": mark("{label}: remove the picture"),
    "Fullscreen": mark("{label}: full screen"),
    "Exit fullscreen mode": mark("{label}: leave full screen"),
    "Download": mark("{label}: download"),
    "Download All": mark("{label}: download all"),
    "Remove this file": mark("Remove the file"),
    "Reset to default value": mark("{label}: back to the default"),
    "Thumbnail": mark("picture {number} of {total}"),
    "Pan": mark("Move the view"),
    "Zoom in": mark("Enlarge the view"),
    "Zoom out": mark("Shrink the view"),
    "Undo": mark("Undo"),
    "Redo": mark("Redo"),
    "Clear canvas": mark("Clear the canvas"),
    "Brush": mark("Brush"),
    "Erase": mark("Eraser"),
    "Brush Size": mark("Size of the brush"),
    "Color": mark("Colour of the brush"),
    "Eraser Size": mark("Size of the eraser"),
    "Clear": mark("Clear"),
    "Close": mark("Close"),
    "More tabs": mark("More views"),
    "Error": mark("That did not work"),
    "Connection Lost": mark("Connection lost"),
    "Connection to the server was lost. Attempting reconnection...": mark(
        "The page has lost its server and keeps trying to reach it again."
    ),
}
# Filled in by the script.
FIELDS = {"label": "{label}", "number": "{number}", "total": "{total}"}


def script() -> LazyText:
    """The script to run when the page is there, with the names in the current language."""

    def make() -> str:
        said = {theirs: t(ours, **FIELDS) for theirs, ours in NAMES.items()}
        names, recipe_mark = json.dumps(said), json.dumps(RECIPE_MARK)
        return f"() => {{ ({ACCESS})({names}); ({FILES})({recipe_mark}); }}"

    return LazyText(make)
