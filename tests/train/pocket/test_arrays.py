"""The arrays on disk hold the scenes and views that their indices describe."""

import random

import numpy as np
from small_world import SCENES, TRAIN_SCENES, random_lexicon, run_command

from lambda_eclipse.pocket.embedding import SIZE_PX
from lambda_eclipse.pocket.tower import GridTower
from train.pocket import clip_batches
from train.world import arrays as module
from train.world.arrays import FREE_EVERY, VIEWS, Arrays, view_index
from train.world.looks import LOOKS, sprite_view
from train.world.render import render
from train.world.scenes import sample_scene
from train.world.split import load_split


def test_scenes_match_their_descriptions(arrays: Arrays) -> None:
    for side, seed in (("train", 0), ("held", 1), ("seen", 1)):
        rows, pictures = arrays.rows(side), arrays.pictures(side)
        assert len(rows) == len(pictures) == (TRAIN_SCENES if side == "train" else SCENES)
        for index in range(0, len(rows), 17):
            free = side == "train" and index % FREE_EVERY == 0
            scene, row = sample_scene(seed, index, side, free=free), rows[index]
            assert np.array_equal(pictures[index], np.asarray(render(scene)))
            assert (row.caption, row.nouns) == (scene.caption, scene.nouns)
            assert (row.place, row.relation) == (scene.place.name, scene.relation.name)
            assert tuple(arrays.sprites[s] for s, _ in row.subjects) == scene.sprites
            assert tuple(look for _, look in row.subjects) == scene.looks


def test_spots_surround_the_foreground(arrays: Arrays) -> None:
    mattes, free = arrays["train-mattes"], 0
    for index, row in enumerate(arrays.rows("train")):
        inside = np.zeros((SIZE_PX, SIZE_PX), bool)
        for x, y, size in row.spots:
            corners = (x - size / 2, y - size / 2, x + size / 2, y + size / 2)
            x0, y0, x1, y1 = (max(0, round(v)) for v in corners)
            inside[y0 : y1 + 1, x0 : x1 + 1] = True
        assert mattes[index][inside].sum() > 0.9 * mattes[index].sum(), row
        canonical = sample_scene(0, index, "train").relation.spots[0]
        moved = row.spots[0][:2] != (canonical.x, canonical.y)
        assert moved == (index % FREE_EVERY == 0)
        free += moved
    assert free


def test_views_have_the_index_of_sprite_look_and_view(arrays: Arrays) -> None:
    views, last = arrays.pictures("views"), len(arrays.sprites) - 1
    assert len(views) == len(arrays.sprites) * LOOKS * VIEWS
    for sprite, look, view in ((0, 0, 0), (3, 5, 1), (last, 2, 1)):
        expected = np.asarray(sprite_view(arrays.sprites[sprite].name, look, f"{look}-{view}"))
        assert np.array_equal(views[view_index(sprite, look, view)], expected)


def test_a_second_run_keeps_the_files(arrays: Arrays) -> None:
    files = [path for path in arrays.folder.iterdir() if path.is_file()]
    before = {path: path.stat().st_mtime_ns for path in files}
    run_command(module.main, "core", out=arrays.folder, train=TRAIN_SCENES)
    assert {path: path.stat().st_mtime_ns for path in files} == before
    assert not [path for path in arrays.folder.iterdir() if path.name.startswith(".")]


def test_training_never_reads_a_held_out_sprite(arrays: Arrays) -> None:
    sprites, held = arrays.sprites, load_split().sprites
    assert any(sprite.name in held for sprite in sprites)
    per_sprite = LOOKS * VIEWS
    trained = {sprites[i // per_sprite].name for i in arrays.train_views}
    assert trained == {sprite.name for sprite in sprites} - held
    for row in arrays.rows("train"):
        assert not {sprites[index].name for index, _ in row.subjects} & held
    read: list[np.ndarray] = []

    class Recording(Arrays):
        """Arrays that record which views' features are read."""

        def __getitem__(self, name: str) -> np.ndarray:
            values = super().__getitem__(name)
            if name != "views-grid":
                return values

            class Grid:
                def __getitem__(self, index: np.ndarray) -> np.ndarray:
                    read.append(index)
                    return values[index]

            return Grid()

    recording = Recording(arrays.folder)
    batches = clip_batches.Batches(recording, random_lexicon(arrays.folder), GridTower(), 0, 8)
    for step in range(30):
        nouns, views = batches.drawings(random.Random(step))
        shown = [sprites[i // per_sprite] for i in views]
        assert not {sprite.name for sprite in shown} & held
        assert [sprite.noun for sprite in shown] == nouns
        batches.stand_ins(random.Random(step), step)
    assert not {sprites[i // per_sprite].name for i in np.concatenate(read)} & held
