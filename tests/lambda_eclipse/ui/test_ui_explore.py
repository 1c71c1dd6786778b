"""Exploring and keeping over a fake studio: points, cells, paths, recipes, shelf, settings."""

import json
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from lambda_eclipse.keep import recipe as recipes
from lambda_eclipse.keep import weight_checksums
from lambda_eclipse.keep.card import read_card
from lambda_eclipse.keep.png import NoRecipeError
from lambda_eclipse.keep.reproduction import point_of, reproduce
from lambda_eclipse.mark.watermark import add
from lambda_eclipse.request import Request, Sampling, Subject
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.explore.exports import ExportActions, points_of
from lambda_eclipse.ui.explore.handlers import NO_CHANGE, ExploreActions
from lambda_eclipse.ui.form import STACK_DEFAULT, ComposeForm
from lambda_eclipse.ui.keep.handlers import KeepActions, identicon, shipped
from lambda_eclipse.ui.page import build, launch
from lambda_eclipse.ui.results.handlers import ResultsActions
from lambda_eclipse.ui.visit import Visit


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("photos")
    for name in ("red", "green", "blue", "black"):
        Image.new("RGB", (40, 40), name).save(folder / f"{name}.png")
    return [str(path) for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def painted(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PNG with a recipe: two subjects, edges, the second of three pictures."""
    cat, hat = (
        Subject(n, Image.new("RGB", (40, 40), c)) for n, c in (("cat", "red"), ("hat", "blue"))
    )
    request = Request(
        "a cat and a cat in a hat",
        (Subject("cat", cat.picture, occurrence=1, strength=0.5), hat),
        seed=5,
        count=3,
        sampling=Sampling(4),
        edges=Image.new("RGB", (64, 64), "white"),
    )
    picture = engine.studio.generate(request)[1]
    path = tmp_path_factory.mktemp("recipes") / "painted.png"
    recipe = recipes.Recipe.from_request(engine.studio, request, 1)
    path.write_bytes(recipes.write(picture.image, recipe))
    return str(path)


def form(files: list[str], **changes) -> list:
    """The Explore form as its actions take it: four pictures as corners."""
    values = {
        "source": "pictures",
        "prompt": "",
        "noun_a": "",
        "a1": None,
        "a2": None,
        "noun_b": "",
        "b1": None,
        "b2": None,
        **dict(zip("pqrs", files, strict=True)),
        "mode": "slerp",
        "steps": 10,
        "guidance": 3,
        "sampler": "ddim",
        "seed": 4,
    } | changes
    return list(values.values())


# The square


def test_corners_may_be_any_pictures(engine: Engine, visit: Visit, files: list[str]) -> None:
    actions = ExploreActions(engine)
    *_, (path, note) = actions.at(visit, *form(files), 1.0, 1.0)
    assert "(1.00, 1.00)" in note and "10 steps" in note
    recipe = recipes.read(path)
    corner = point_of(engine.studio, files[3])
    assert recipe.embedding.allclose(corner, atol=1e-5)
    again = reproduce(engine.studio, recipe)
    assert add(again.image).tobytes() == Image.open(path).tobytes()
    with pytest.raises(gr.Error, match="Still missing: top right, bottom right"):
        list(actions.at(visit, *form([files[0], None, files[2], None]), 0, 0))


def test_a_square_that_leaves_its_steps_to_the_stack(
    engine: Engine, visit: Visit, files: list[str]
) -> None:
    actions, stack = ExploreActions(engine), engine.studio.models.stack
    left = form(files, steps=STACK_DEFAULT, guidance=9)
    for painted, steps in (
        (actions.draft_at_pad(visit, (0.3, 0.5), True, *left), stack.draft_steps),
        (actions.at(visit, *left, 0.3, 0.5), stack.steps),
    ):
        *_, (path, note) = painted
        request = recipes.read(path).request
        assert (request.sampling.steps, request.sampling.guidance) == (steps, stack.guidance)
        assert f"{steps} steps" in note


def test_a_draft_shows_while_the_point_moves(
    engine: Engine, visit: Visit, files: list[str]
) -> None:
    actions = ExploreActions(engine)
    *_, (_, note) = actions.draft_at_pad(visit, (0.4, 0.5), True, *form(files, steps=20))
    assert "4 steps" in note
    *_, (_, note) = actions.draft_at_sliders(visit, *form(files, steps=20), 0.4, 0.6, True)
    assert "4 steps" in note and "(0.40, 0.60)" in note
    # Where it comes to rest the full picture is painted once, and no draft takes its place.
    *_, (_, note) = actions.at_sliders(visit, *form(files, steps=20), 0.4, 0.6, True)
    assert "20 steps" in note
    for moved in (
        actions.at_sliders(visit, *form(files, steps=20), 0.4, 0.6, True),
        actions.draft_at_pad(visit, (0.4, 0.6), True, *form(files, steps=20)),
        actions.draft_at_pad(visit, (0.4, 0.5), True, *form([*files[:3], None])),
    ):
        assert list(moved) == [NO_CHANGE]


def test_cells_are_painted_once(engine: Engine, visit: Visit, files: list[str]) -> None:
    actions = ExploreActions(engine)
    steps = engine.studio.steps_taken
    *_, (small, note) = actions.grid(visit, *form(files), 3)
    assert len(set(small)) == 9 and "9 generated" in note
    steps.clear()
    *_, (large, note) = actions.grid(visit, *form(files), 5)
    assert "16 generated" in note and len(steps) == 160
    assert [large[0], large[4], large[12], large[24]] == [small[0], small[2], small[4], small[8]]
    steps.clear()
    *_, (again, _) = actions.grid(visit, *form(files), 3)
    assert again == small and not steps
    *_, (_, note) = actions.grid(visit, *form(files, seed=5), 2)
    assert "4 generated" in note
    Path(small[4]).unlink()  # as an hour does
    *_, (_, note) = actions.grid(visit, *form(files), 3)
    assert "1 generated" in note
    with pytest.raises(gr.Error, match="from 2 to 9"):
        list(actions.grid(visit, *form(files), 12))


def test_a_stopped_grid_keeps_its_cells(engine: Engine, visit: Visit, files: list[str]) -> None:
    actions = ExploreActions(engine)
    running = actions.grid(visit, *form(files), 4)
    for cells, _ in running:
        if isinstance(cells, list) and len(set(cells)) == 6:  # five of them, and the empty one
            break
    running.close()
    corners = [cells[0], cells[3], cells[12], cells[15]]
    assert all(Path(path).name.startswith("row-") for path in corners)
    *_, (_, note) = actions.grid(visit, *form(files), 4)
    assert "11 generated" in note
    path, x, y, point = actions.open_cell(SimpleNamespace(index=7), visit, 4, True)
    assert Path(path).name == "row-2-column-4-seed-4.png"
    assert (x, y) == point == (1.0, float(Fraction(1, 3)))
    assert actions.show_backdrop(visit, 4)["backdrop"].startswith("data:image/jpeg")


def test_the_atlas_is_exported(engine: Engine, visit: Visit, files: list[str]) -> None:
    exports = ExportActions(engine)
    with pytest.raises(gr.Error, match="grid is empty"):
        exports.sheet(visit, 3)
    list(ExploreActions(engine).grid(visit, *form(files), 2))
    sheet, archive = (one["path"] for one in exports.sheet(visit, 2).value)
    assert min(Image.open(sheet).size) > 2 * 128
    assert len(zipfile.ZipFile(archive).namelist()) == 4


def test_a_path_becomes_a_film(engine: Engine, visit: Visit, files: list[str]) -> None:
    exports = ExportActions(engine)
    with pytest.raises(gr.Error, match="path has no frames"):
        exports.film(visit)
    *_, (frames, note) = exports.path(visit, *form(files), "top", None, 5)
    assert [caption for _, caption in frames][::2] == [
        "(0.00, 0.00)",
        "(0.50, 0.00)",
        "(1.00, 0.00)",
    ]
    assert "5 frames" in note
    kinds = {Path(one["path"]).suffix: one["path"] for one in exports.film(visit).value}
    assert {".gif", ".json", ".zip", ".png"} <= kinds.keys()
    assert Image.open(kinds[".gif"]).n_frames == 8
    assert json.loads(Path(kinds[".json"]).read_text())["mode"] == "slerp"


def files_of(component: gr.File) -> dict[str, bytes]:
    """What was exported, by name; the files of a zip by "zip/name"."""
    found = {}
    for one in component.value:
        path = Path(one["path"])
        found[path.name] = path.read_bytes()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                found |= {f"{path.name}/{name}": archive.read(name) for name in archive.namelist()}
    return found


def has_recipe(file: str | bytes) -> bool:
    try:
        recipes.read(file)
    except NoRecipeError:
        return False
    return True


@pytest.mark.parametrize("wanted", [True, False])
def test_the_switch_leaves_the_recipe_out_of_all_that_explore_gives(
    engine: Engine, visit: Visit, files: list[str], wanted: bool
) -> None:
    actions, exports = ExploreActions(engine), ExportActions(engine)
    *_, (point, _) = actions.at(visit, *form(files), 0.5, 0.5, wanted)
    *_, (cells, _) = actions.grid(visit, *form(files), 2, wanted)
    opened, *_ = actions.open_cell(SimpleNamespace(index=1), visit, 2, wanted)
    *_, (frames, _) = exports.path(visit, *form(files), "top", None, 3, wanted)
    shown = [point, opened, *cells, *[path for path, _ in frames]]
    assert [has_recipe(path) for path in shown] == [wanted] * len(shown)
    saved = files_of(exports.sheet(visit, 2, wanted)) | files_of(
        exports.film(visit, 8, True, wanted)
    )
    pictures = {name: data for name, data in saved.items() if name.endswith(".png")}
    assert len(pictures) == 2 + 4 + 3
    inside = {name: data for name, data in pictures.items() if "/" in name}
    assert [has_recipe(data) for data in inside.values()] == [wanted] * len(inside)
    assert all(b"trainedAlgorithmicMedia" in data for data in pictures.values())
    # Switched over, the same cells are given the other way, and none is painted again.
    engine.studio.steps_taken.clear()
    *_, (others, _) = actions.grid(visit, *form(files), 2, not wanted)
    assert [has_recipe(path) for path in others] == [not wanted] * 4
    assert not engine.studio.steps_taken
    for one, other in zip(cells, others, strict=True):
        assert Image.open(one).tobytes() == Image.open(other).tobytes()


def test_the_costs_are_told_before(engine: Engine, visit: Visit, files: list[str]) -> None:
    actions = ExploreActions(engine)
    engine.pace.step_s, engine.pace.rest_s = 0.5, 1.0
    grid, path = actions.costs(visit, 4, 12, *form(files))
    assert "about 1.6 min" in grid and "about 72 s" in path  # 16 and 12 pictures of 10 steps
    list(actions.grid(visit, *form(files), 2))
    engine.pace.step_s, engine.pace.rest_s = 0.5, 1.0
    assert "about 72 s" in actions.costs(visit, 4, 2, *form(files))[0]  # the corners are there
    assert "less than a second" in actions.costs(visit, 2, 2, *form(files))[0]
    assert "about 12 s" in actions.costs(visit, 2, 2, *form([*files[:3], None]))[1]


def test_a_path_may_be_drawn() -> None:
    assert points_of("drawn", [[0, 0], [1, 1]], 3) == [(0, 0), (0.5, 0.5), (1, 1)]
    assert points_of("drawn", "[[0, 0], [1, 1]]", 2) == [(0, 0), (1, 1)]
    for nothing in (None, [], [[0, 0]], {}):
        with pytest.raises(ValueError, match="path is empty"):
            points_of("drawn", nothing, 3)
    with pytest.raises(ValueError):
        points_of("drawn", [[0, 0], [7, 1]], 3)


# Keeping


def test_a_png_brings_back_its_form(engine: Engine, visit: Visit, painted: str) -> None:
    *values, found = KeepActions(engine).restore(visit, painted)
    assert len(values) == len(ComposeForm.names()) and "No differences" in found
    prompt, noun, card, mask, strength, mention = values[:6]
    assert (prompt, noun, mask, strength, mention) == (
        "a cat and a cat in a hat",
        "cat",
        None,
        0.5,
        2,
    )
    assert read_card(card).noun == "cat"
    layout, edges_from, *_, edges = values[21:26]
    assert (layout, edges_from) == ("drawing", None) and Image.open(edges).size == (64, 64)
    assert values[26:] == [3, 4, 4.0, "ddim", 5, False]


def test_a_png_of_other_weights_says_so(
    engine: Engine, visit: Visit, painted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dict.fromkeys(("clip", "prior", "decoder"), "0" * 64)
    monkeypatch.setattr(weight_checksums, "checksums", lambda *arguments: other)
    with pytest.warns(UserWarning, match="weights of the clip are others"):  # as a toast, too
        *values, found = KeepActions(engine).restore(visit, painted)
    assert "weights of the clip are others" in found
    assert values[1:3] == ["", None]  # its embeddings mean nothing here


def test_a_picture_without_a_recipe_is_refused(
    engine: Engine, visit: Visit, files: list[str]
) -> None:
    with pytest.raises(gr.Error, match="no recipe in this picture"):
        KeepActions(engine).restore(visit, files[0])


def test_a_png_is_painted_again_to_the_bit(engine: Engine, visit: Visit, painted: str) -> None:
    *_, (gallery, note, _) = KeepActions(engine).reproduce(visit, painted)
    assert Image.open(gallery[0][0]).tobytes() == Image.open(painted).tobytes()
    assert "seed 6" in note and len(visit.history) == 1
    with pytest.raises(gr.Error, match="was not generated in Compose"):
        visit.choose(visit.history[0])
        ResultsActions(engine).restore(visit)


def test_history_and_shelf(engine: Engine, visit: Visit, painted: str) -> None:
    actions = KeepActions(engine)
    list(actions.reproduce(visit, painted))
    assert len(actions.history(visit)) == 1
    assert "a cat and a cat" in actions.choose(SimpleNamespace(index=0), visit)
    assert actions.shelf(visit) == shipped() and ("cat" in dict(shipped()).values())
    *values, note = actions.load(SimpleNamespace(index=0), visit, 4)
    assert values[15:17] == [shipped()[0][1], shipped()[0][0]] and "subject 4" in note
    with pytest.raises(gr.Error, match="no card in this picture"):
        actions.shelve(visit, painted)
    assert identicon([0.0] * 16).getbbox() and identicon([1.0] * 16).getbbox()


# Over the wire


@pytest.fixture(scope="module")
def address(engine: Engine) -> Iterator[str]:
    page = build(engine)
    launch(page, "127.0.0.1", None, share=False, prevent_thread_lock=True, quiet=True)
    yield page.local_url
    page.close()


def test_the_endpoints_of_square_and_recipe(address: str, files: list[str], painted: str) -> None:
    client = Client(address, verbose=False)
    names = ("top_left", "top_right", "bottom_left", "bottom_right")
    corners = {name: handle_file(path) for name, path in zip(names, files, strict=True)}
    picture, _ = client.predict(corners_from="pictures", **corners, x=0, y=1, api_name="/at")
    assert recipes.read(picture).embedding is not None
    frames, _ = client.predict(
        corners_from="pictures",
        **corners,
        route="drawn",
        line=[[0, 0], [1, 1]],
        frames=3,
        api_name="/path",
    )
    assert len(frames) == 3
    gallery, *_ = client.predict(handle_file(painted), api_name="/reproduce")
    assert Image.open(gallery[0]["image"]).tobytes() == Image.open(painted).tobytes()


def test_no_message_carries_markup(address: str, files: list[str]) -> None:
    client = Client(address, verbose=False)
    evil = "<img src=x onerror=alert(1)>"
    with pytest.raises(AppError) as caught:
        client.predict(
            prompt="a boat", noun_1=evil, picture_1=handle_file(files[0]), api_name="/generate"
        )
    assert "<img" not in str(caught.value) and "Traceback" not in str(caught.value)
