"""Composing over a fake studio: subjects, masks, words, mentions, edges, and what is finished."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from fakes import BATCH, FakeStudio
from gradio.utils import get_upload_folder
from PIL import Image, ImageDraw
from small_stack import write_stack

from lambda_eclipse.keep import recipe as recipes
from lambda_eclipse.keep.png import NoRecipeError
from lambda_eclipse.keep.reproduction import reproduce
from lambda_eclipse.mark.watermark import add
from lambda_eclipse.models import load
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import ALL, Request, Sampling
from lambda_eclipse.stacks import STACKS
from lambda_eclipse.ui.compose import jobs
from lambda_eclipse.ui.compose.handlers import ComposeActions
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.form import (
    ALL_MENTIONS,
    EDGES_DRAWN,
    EDGES_FROM_PICTURE,
    EDGES_OFF,
    STACK_DEFAULT,
    ComposeForm,
    SlotForm,
    SlotsForm,
)
from lambda_eclipse.ui.jobs import subject_of
from lambda_eclipse.ui.keep.handlers import KeepActions
from lambda_eclipse.ui.results.handlers import ResultsActions
from lambda_eclipse.ui.subjects import jobs as subject_jobs
from lambda_eclipse.ui.subjects.brush import mask_of_canvas, with_mask
from lambda_eclipse.ui.subjects.handlers import SubjectActions, file_stem
from lambda_eclipse.ui.visit import Visit
from lambda_eclipse.ui.widgets.edges import EdgesActions, canvas_of_map, map_of_canvas
from lambda_eclipse.ui.widgets.token_strip import read, strip_html


@pytest.fixture(scope="module")
def engine() -> Engine:
    found = Engine(lambda progress: FakeStudio(), warm_up=jobs.warm_up)
    found.load()
    return found


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    image = Image.new("RGB", (120, 80), "white")
    ImageDraw.Draw(image).ellipse((20, 10, 70, 70), fill="orange")
    path = tmp_path_factory.mktemp("photos") / "cat.png"
    image.save(path)
    return str(path)


def slots(*parts: tuple) -> list:
    """The values of all slots; parts: the first values of the first slots."""
    return SlotsForm.filled([SlotForm(*part) for part in parts]).to_values()


def generate(engine: Engine, visit: Visit, prompt: str, *parts: tuple, **changes) -> tuple:
    values = {"count": 3, "steps": 3, "guidance": 4, "seed": 7, "randomize": False} | changes
    values |= zip(SlotsForm.names(), slots(*parts), strict=True)
    *_, last = ComposeActions(engine).generate(visit, prompt, **values)
    return last


# Masks and words


@pytest.mark.parametrize("size", [(120, 80), (60, 300), (900, 900)])
def test_a_mask_comes_back_from_under_the_brush(size: tuple[int, int]) -> None:
    mask = Image.new("L", size)
    box = (size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2)
    mask.paste(255, box)
    editor = with_mask(Image.new("RGB", size, "navy"), mask)
    back = mask_of_canvas(editor, size)
    assert back.size == size
    same = (np.asarray(back) > 128) == (np.asarray(mask) > 128)
    assert same.mean() > 0.97
    for nothing in (None, {}, {"layers": []}, {**editor, "layers": [Image.new("RGBA", (9, 9))]}):
        with pytest.raises(ValueError, match="mask is empty"):
            mask_of_canvas(nothing, size)


def test_candidates_are_offered_and_taken(engine: Engine, visit: Visit, photo: str) -> None:
    actions = SubjectActions(engine)
    shown, editor = actions.candidates(visit, 1, *slots(("cat", photo)))
    assert shown[0][1] == "Mask from plain background"
    assert len(shown) == len(visit.masks) >= 2 and editor["layers"][0].getbbox()
    *masks, _ = actions.choose_candidate(SimpleNamespace(index=len(shown) - 1), visit, 2)
    assert [isinstance(mask, str) for mask in masks] == [False, True, False, False]
    _, note, _ = actions.mask(visit, photo, masks[1])
    assert note == "Painted mask"
    assert actions.candidates(visit, 3, *slots(("cat", photo))) == ([], None)


def test_the_bench_is_filled_once(engine: Engine, visit: Visit, photo: str, tmp_path: Path) -> None:
    actions = SubjectActions(engine)
    first, _ = actions.candidates(visit, 1, *slots(("cat", photo)))
    masks = visit.masks
    assert actions.candidates(visit, 1, *slots(("cat", photo))) == (gr.skip(), gr.skip())
    assert visit.masks is masks and len(masks) == len(first)
    other, _ = actions.candidates(visit, 2, *slots(("cat", photo), ("toy", photo)))
    assert len(other) == len(first)
    again, _ = actions.candidates(visit, 1, *slots(("cat", photo)))
    assert {path for path, _ in again}.isdisjoint(path for path, _ in first)
    assert actions.close_editor(visit).visible is False  # what was in it is gone with it
    assert len(actions.candidates(visit, 1, *slots(("cat", photo)))[0]) == len(first)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    for _ in range(2):
        with pytest.raises(gr.Error, match="could not be read"):
            actions.candidates(visit, 1, *slots(("cat", str(broken))))


def test_words_are_proposed_and_put_into_the_prompt(
    engine: Engine, visit: Visit, photo: str
) -> None:
    actions = SubjectActions(engine)
    proposed = actions.propose_nouns(visit, 1, *slots(("", photo))).choices
    assert len(proposed) == subject_jobs.PROPOSALS and all(" %" in label for label, _ in proposed)
    assert actions.choose_noun(2, "hat", "a cat.")[1:] == [
        "hat",
        *[gr.skip()] * 2,
        "a cat and a hat",
    ]
    assert actions.choose_noun(1, "cat", "a cat.")[-1] == gr.skip()
    assert actions.choose_noun(1, "cat", " ")[-1] == "a cat"


def test_a_card_fills_a_slot_and_paints_the_same(engine: Engine, visit: Visit, photo: str) -> None:
    actions = SubjectActions(engine)
    card = actions.save_card(visit, 1, *slots(("cat", photo))).value["path"]
    assert visit.shelf[0][1] == "cat" and Path(card).name == "cat.card.png"
    assert actions.noun_of_card(card, "") == "cat"
    assert actions.noun_of_card(photo, "") == actions.noun_of_card(card, "dog") == gr.skip()
    assert "concept card" in actions.mask(visit, card)[1]
    from_photo, from_card = (
        generate(engine, visit, "a cat", ("cat", path))[0] for path in (photo, card)
    )
    for (one, _), (other, _) in zip(from_photo, from_card, strict=True):
        assert Image.open(one).tobytes() == Image.open(other).tobytes()
    with pytest.raises(gr.Error, match="Subject 2 has no picture"):
        actions.save_card(visit, 2, *slots(("cat", photo)))


def test_file_names_come_from_letters_only() -> None:
    assert file_stem("../<b>teddy bear</b>") == "b-teddy-bear-b"
    assert file_stem("../") == "subject"


# The prompt


def test_the_strip_shows_who_is_where_and_what_is_wrong(engine: Engine) -> None:
    tokenizer = engine.studio.models.clip.tokenizer
    chips, warnings = read(tokenizer, "a cat and a cat", ["cat"], [0], [2])
    assert [chip.owner for chip in chips] == [None, 2, None, None, None, None]
    assert (chips[5].text, chips[5].choice) == ("all “cat”", (2, ALL_MENTIONS))
    assert 'aria-label="Use every “cat” as subject 3" data-subject="2" data-mention="-1"' in (
        strip_html(chips)
    )
    assert chips[4].choice == (2, 2) and "occurs 2 times" in warnings[0]
    chips, warnings = read(tokenizer, "a cat and a cat", ["cat"], [2], [2])
    assert chips[4].owner == 2 and chips[1].choice == (2, 1) and not warnings
    chips, warnings = read(tokenizer, "a cat and a cat", ["cat"], [ALL_MENTIONS], [2])
    assert [chip.owner for chip in chips] == [None, 2, None, None, 2, None] and not warnings
    assert (chips[5].text, chips[5].choice) == ("only one “cat”", (2, 0))
    chips, warnings = read(tokenizer, "a cat and a cat", ["cat", "cat"], [0, 0], [0, 1])
    assert not warnings and len(chips) == 5
    for prompt, nouns, said in (
        ("a dog", ["cat"], "does not mention"),
        ("a cat", ["cat", "cat"], "another subject"),
        ("two cats", ["cat"], "plural in the prompt (“cats”)"),
        ("two gizmos", ["gizmo"], "plural in the prompt (“gizmos”)"),  # more tokens than one
        ("very " * 80 + "cat", ["cat"], "too late"),
        ("cat " + "very " * 80, ["cat"], "only the first 75 tokens"),
    ):
        _, warnings = read(tokenizer, prompt, nouns, [0] * len(nouns), list(range(len(nouns))))
        assert any(said in line for line in warnings), (prompt, warnings)


def test_a_click_binds_a_subject_to_a_mention(engine: Engine, visit: Visit, photo: str) -> None:
    bound = ComposeActions(engine).bind(SimpleNamespace(subject=1, mention=2))
    assert bound == [gr.skip(), 2, gr.skip(), gr.skip()]
    generate(engine, visit, "a cat and a cat", ("cat", photo, None, 0.5, 2))
    [subject] = engine.studio.requests[-1].subjects
    assert (subject.occurrence, subject.strength) == (1, 0.5)
    generate(engine, visit, "a cat and a cat", ("cat", photo, None, 1, ALL_MENTIONS))
    assert engine.studio.requests[-1].subjects[0].occurrence == ALL
    restored = KeepActions(engine).restore(visit, visit.gallery[0].path)
    assert restored[5] == ALL_MENTIONS


def test_the_risk_and_the_cost_are_told_before(engine: Engine, photo: str) -> None:
    actions = ComposeActions(engine)
    told = actions.risk(*slots(("cat", photo), ("<b>cat</b>", photo)))
    assert "high" in told and "<meter" in told and "<b>cat" not in told
    assert actions.risk(*slots(("cat", photo))) == ""
    engine.pace.step_s, engine.pace.rest_s = 0.5, 1.0
    assert "about 18 s" in actions.cost(3, 10)
    assert "5.1 min" in actions.cost(6, 100)
    assert "after the first picture" in ComposeActions(Engine(lambda progress: None)).cost(1, 1)
    assert [draft < best for draft, best in zip(actions.draft(), actions.best(), strict=True)] == [
        True,
        False,
        True,
    ]


# Edges


def test_a_drawing_is_an_edge_map() -> None:
    assert map_of_canvas(None, 64) is None and map_of_canvas(canvas_of_map(), 64) is None
    lines = Image.new("RGB", (64, 64))
    ImageDraw.Draw(lines).line((5, 5, 60, 40), fill="white", width=2)
    found = map_of_canvas(canvas_of_map(lines), 64)
    assert found.size == (64, 64) and {c for _, c in found.convert("L").getcolors()} == {0, 255}
    agree = np.asarray(found.convert("L")) == np.asarray(lines.convert("L"))
    assert agree.mean() > 0.97


def test_edges_are_used_where_they_are_switched_on(
    engine: Engine, visit: Visit, photo: str
) -> None:
    actions = EdgesActions(engine)
    lines = Image.new("RGB", (384, 384))
    ImageDraw.Draw(lines).line((50, 50, 300, 300), fill="white", width=8)
    drawn = actions.switch(visit, EDGES_DRAWN, None, 100, 200, canvas_of_map(lines))
    for layout, has_canny, has_edges in (
        (EDGES_OFF, 0, 0),
        (EDGES_FROM_PICTURE, 1, 0),
        (EDGES_DRAWN, 0, 1),
    ):
        generate(engine, visit, "a boat", layout=layout, edges_from=photo, edge_map=drawn)
        request = engine.studio.requests[-1]
        assert (request.canny is not None, request.edges is not None) == (has_canny, has_edges)
    assert actions.switch(visit, EDGES_OFF, photo, 100, 200, None) is None


# What is finished


def test_pictures_are_those_of_the_studio_and_carry_their_recipe(
    engine: Engine, visit: Visit, photo: str
) -> None:
    gallery, seed, note, meters = generate(engine, visit, "a cat", ("cat", photo), count=BATCH + 1)
    subject = subject_of(engine.studio, SlotForm("cat", photo))
    wanted = engine.studio.generate(
        Request("a cat", (subject,), seed=7, count=BATCH + 1, sampling=Sampling(3, 4.0))
    )
    assert seed == 7 and "7, 8, 9" in note and meters.count("<meter") == 2 * (BATCH + 1)
    for index, ((path, _), picture) in enumerate(zip(gallery, wanted, strict=True)):
        assert Image.open(path).tobytes() == add(picture.image).tobytes()
        recipe = recipes.read(path)
        assert (recipe.index, recipe.request.count) == (index, BATCH + 1)
        again = reproduce(engine.studio, recipe)
        assert again.image.tobytes() == picture.image.tobytes()
        assert "trainedAlgorithmicMedia" in Path(path).read_text(errors="ignore")


def test_a_form_that_leaves_its_steps_to_the_stack(engine: Engine, visit: Visit) -> None:
    stack = engine.studio.models.stack
    generate(engine, visit, "a boat", steps=STACK_DEFAULT, guidance=9)
    request = visit.gallery[0].painted.recipe.request
    assert (request.sampling.steps, request.sampling.guidance) == (stack.steps, stack.guidance)
    assert engine.steps(STACK_DEFAULT) == stack.steps and engine.steps(7) == 7
    assert Engine(lambda progress: FakeStudio()).steps(STACK_DEFAULT) == 0  # not known yet


def test_the_recipe_can_be_left_out(engine: Engine, visit: Visit) -> None:
    [(path, _)], *_ = generate(engine, visit, "a boat", count=1, with_recipe=False)
    with pytest.raises(NoRecipeError):
        recipes.read(path)
    assert "trainedAlgorithmicMedia" in Path(path).read_text(errors="ignore")


def test_a_stop_keeps_what_is_finished(engine: Engine, visit: Visit) -> None:
    running = ComposeActions(engine).generate(
        visit, "a boat", count=3 * BATCH, steps=3, guidance=4, seed=1, randomize=False
    )
    for gallery, *_ in running:
        if isinstance(gallery, list) and len(gallery) == BATCH:
            break
    running.close()
    assert [entry.painted.picture.seed for entry in visit.history] == [1, 2]
    assert visit.gallery == visit.history


def test_variations_and_leave_one_out(engine: Engine, visit: Visit, photo: str) -> None:
    actions = ResultsActions(engine)
    with pytest.raises(gr.Error, match="Select a picture"):
        list(actions.vary(visit, 25, 2, True))
    assert actions.costs(visit, 4) == ("", "")
    generate(engine, visit, "a cat in a hat", ("cat", photo), ("hat", photo), count=1)
    first = visit.history[0]
    actions.choose(SimpleNamespace(index=0), visit)
    engine.pace.step_s, engine.pace.rest_s = 0.5, 1.0
    assert [re.findall(r"about (\d+) s", cost) for cost in actions.costs(visit, 3)] == [
        ["8"],
        ["5"],
    ]
    *_, (gallery, _, _) = actions.vary(visit, 25, 2, True)
    assert [caption for _, caption in gallery] == ["variation 1", "variation 2"]
    for path, _ in gallery:
        point = recipes.read(path).embedding
        assert not np.allclose(point, first.painted.picture.embedding)
    visit.choose(visit.gallery[0])
    assert "no subjects to remove" in actions.costs(visit, 1)[1]
    visit.choose(first)
    *_, (gallery, _, _) = actions.leave_one_out(visit, True)
    assert [caption for _, caption in gallery] == ['without "cat"', 'without "hat"']
    assert recipes.read(gallery[0][0]).request.subjects[0].strength == 0
    assert len(visit.history) == 5


def test_results_go_into_slots_corners_and_back_into_the_form(
    engine: Engine, visit: Visit, photo: str
) -> None:
    actions = ResultsActions(engine)
    generate(engine, visit, "a cat", ("cat", photo, None, 0.75), count=2)
    described, compare, _ = actions.choose(SimpleNamespace(index=0), visit)
    assert "a cat" in described and compare.visible is False
    _, compare, _ = actions.choose(SimpleNamespace(index=1), visit)
    assert compare.visible and actions.choose(SimpleNamespace(index=9), visit)[0] == gr.skip()
    values = actions.to_slot(visit, 3)
    assert values[11] == visit.history[1].path and values[0] == values[1] == gr.skip()
    corners = actions.to_corner(visit, "bottom_left")
    assert [isinstance(corner, str) for corner in corners] == [False, False, True, False]
    assert Image.open(corners[2]).tobytes() == Image.open(visit.history[1].path).tobytes()
    assert recipes.read(corners[2]).index == 1
    form = actions.restore(visit)
    assert form[:6] == ["a cat", "cat", photo, None, 0.75, 0] and form[-2:] == [7, False]


@pytest.mark.parametrize("wanted", [True, False])
def test_the_form_becomes_a_corner(engine: Engine, visit: Visit, photo: str, wanted: bool) -> None:
    subjects = SlotsForm.filled([SlotForm("cat", photo)]).slots
    form = ComposeForm("a cat", subjects, count=4, steps=50, guidance=4, seed=3, randomize=False)
    *_, last = ComposeActions(engine).corner(visit, "top_right", wanted, *form.to_values())
    assert [isinstance(corner, str) for corner in last] == [False, True, False, False, False]
    recipe = recipes.read(last[1])  # the square needs it in any case
    assert (recipe.request.sampling.steps, recipe.request.count, recipe.request.seed) == (4, 1, 3)
    in_history = "lambda-eclipse\0" in Path(visit.history[0].path).read_bytes().decode("latin1")
    assert in_history == wanted


def test_the_real_pipeline_paints_an_order(
    tmp_path: Path, visit: Visit, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, folder in write_stack(tmp_path).items():
        monkeypatch.setenv(f"LAMBDA_ECLIPSE_KANDINSKY_{part.upper()}", folder)
    studio = Studio(load(replace(STACKS["kandinsky"], batch_size=BATCH), "cpu"))
    engine = Engine(lambda progress: studio, warm_up=jobs.warm_up)
    engine.load()
    assert engine.status().state == "ready" and engine.pace.step_s > 0
    gallery, *_, meters = generate(engine, visit, "a cat", ("cat", photo), count=3, steps=2)
    assert len(gallery) == 3 and meters.count("<meter") == 6
    for path, _ in gallery:
        again = reproduce(studio, recipes.read(path))
        assert add(again.image).tobytes() == Image.open(path).tobytes()


def test_a_visit_deletes_its_files_and_no_one_elses(
    engine: Engine, visit: Visit, photo: str
) -> None:
    upload = Path(get_upload_folder()) / "someone" / "mine.png"
    upload.parent.mkdir(parents=True, exist_ok=True)
    upload.write_bytes(Path(photo).read_bytes())
    other = Visit()
    theirs = generate(engine, other, "a boat", count=1)[0][0][0]
    mine = generate(engine, visit, "a cat", ("cat", str(upload)), count=1)[0][0][0]
    SubjectActions(engine).mask(visit, str(upload))
    SubjectActions(engine).mask(visit, photo)  # like an example's: not in the upload folder
    assert any(str(upload) in repr(key) for key in engine._cache)
    engine.forget(visit.delete())
    assert not any(str(upload) in repr(key) for key in engine._cache)
    assert not upload.exists() and not Path(mine).exists()
    assert Path(photo).exists() and Path(theirs).exists()
    assert not visit.history and len(other.history) == 1
    other.delete()
