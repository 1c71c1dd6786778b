"""Recipes and cards in PNGs: everything comes back bit for bit, and nothing is trusted."""

import base64
import io
import json
import struct
import zlib
from contextlib import suppress
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, PngImagePlugin
from small_stack import DIM, write_stack

from lambda_eclipse.images import PictureError
from lambda_eclipse.keep.card import CARD_KEYWORD, Card, read_card, write_card
from lambda_eclipse.keep.png import FORMAT, MAX_TEXT, NewerRecipeError, NoRecipeError, RecipeError
from lambda_eclipse.keep.recipe import KEYWORD, Recipe, read, write
from lambda_eclipse.keep.reproduction import check, corners_of, point_of, reproduce
from lambda_eclipse.keep.weight_checksums import _file_checksum, checksums
from lambda_eclipse.manifest import write_manifest
from lambda_eclipse.mark.watermark import add
from lambda_eclipse.models import load
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import MAX_SEED, Request, RequestError, Sampling, Subject
from lambda_eclipse.stacks import PARTS, STACKS

STEPS = 2
BATCH = 2  # less than some requests ask for: the last batch is a smaller one


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    return write_stack(tmp_path_factory.mktemp("hub"))


@pytest.fixture(scope="module")
def studio(folders):
    with pytest.MonkeyPatch.context() as patch:
        for part, folder in folders.items():
            patch.setenv(f"LAMBDA_ECLIPSE_KANDINSKY_{part.upper()}", folder)
        yield Studio(load(replace(STACKS["kandinsky"], batch_size=BATCH), "cpu"))


def photo(colour, shape="ellipse") -> Image.Image:
    image = Image.new("RGB", (90, 60), "white")
    getattr(ImageDraw.Draw(image), shape)((20, 10, 60, 50), fill=colour)
    return image


CAT, HAT = Subject("cat", photo("orange"), strength=0.7), Subject("hat", photo("navy", "rectangle"))


def request(**changes) -> Request:
    wanted = Request("a cat wearing a hat", (CAT, HAT), seed=7, sampling=Sampling(STEPS, 3.1))
    return replace(wanted, **changes)


@pytest.fixture(scope="module")
def kept(studio) -> Recipe:
    """A recipe with all there may be in one."""
    return Recipe.from_request(studio, request(count=3, canny=photo("black")), index=1)


@pytest.fixture(scope="module")
def png(kept) -> bytes:
    return write(photo("red"), kept)


def with_text(text: str | bytes, keyword: str = KEYWORD, zip: bool = True) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text(keyword, text, zip=zip)
    out = io.BytesIO()
    photo("red").save(out, "PNG", pnginfo=info)
    return out.getvalue()


def changed(kept: Recipe, path: str, value: object) -> bytes:
    """A PNG whose recipe has another value at a path such as "subjects.0.noun"."""
    content = json.loads(kept.to_json())
    *above, last = path.split(".")
    inner = content
    for name in above:
        inner = inner[int(name) if name.isdigit() else name]
    inner[last] = value
    return with_text(json.dumps(content))


def floats(*values: float) -> str:
    return base64.b64encode(np.array(values, "<f4").tobytes()).decode()


def edges_png(mode: str = "1", size: tuple[int, int] = (64, 64)) -> str:
    out = io.BytesIO()
    Image.new(mode, size).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def bits(picture) -> bytes:
    return picture.image.tobytes()


# Round trips


def test_json_comes_back_bit_for_bit(kept):
    again = Recipe.from_json(kept.to_json())
    assert again.to_json() == kept.to_json()
    for one, other in zip(kept.request.subjects, again.request.subjects, strict=True):
        assert one.embedding.numpy().tobytes() == other.embedding.numpy().tobytes()
        assert (one.noun, one.strength) == (other.noun, other.strength)
    assert (
        again.request.edges.tobytes() == kept.request.edges.tobytes()
        and again.request.edges.mode == "RGB"
    )


def test_odd_floats_come_back_bit_for_bit(kept):
    odd = torch.tensor([-0.0, 1e-45, -3.4e38, 0.1, 1 / 3])
    subject = Subject("cat", strength=0.1 + 0.2, embedding=odd)
    recipe = replace(kept, request=replace(kept.request, subjects=(subject,)))
    [again] = read(write(photo("red"), recipe)).request.subjects
    assert again.embedding.numpy().tobytes() == odd.numpy().tobytes()
    assert again.strength == 0.1 + 0.2


def test_no_photo_is_kept_and_the_whole_request_is(studio, kept):
    wanted = kept.request
    assert (wanted.prompt, wanted.seed, wanted.count) == ("a cat wearing a hat", 7, 3)
    assert wanted.sampling == Sampling(STEPS, 3.1)
    assert [subject.noun for subject in wanted.subjects] == ["cat", "hat"]
    assert wanted.canny is None and {subject.picture for subject in wanted.subjects} == {None}
    assert kept.request.edges.size == (min(photo("black").size),) * 2
    assert kept.stack == "kandinsky" and kept.device == "cpu" and kept.batch_size == BATCH
    assert kept.versions["torch"] == torch.__version__
    assert set(kept.versions) == {"lambda_eclipse", "torch", "diffusers", "open_clip"}


def test_defaults_of_the_stack_are_written_out(studio):
    wanted = request(subjects=(), sampling=Sampling())
    found = Recipe.from_request(studio, wanted).request
    assert found.sampling == Sampling(STACKS["kandinsky"].steps, 7.5)


def test_numbers_of_numpy_are_numbers(studio):
    wanted = request(seed=np.int64(7), sampling=Sampling(guidance=np.float32(3.5)), subjects=())
    assert (
        read(write(photo("red"), Recipe.from_request(studio, wanted))).request.sampling.guidance
        == 3.5
    )


def test_the_sampler_comes_back_and_old_recipes_mean_ddim(studio):
    ddpm = Recipe.from_request(studio, request(sampling=Sampling(STEPS, 3.1, "ddpm")))
    content = json.loads(ddpm.to_json())
    assert content["format"] == 2, "older programs would paint it with another sampler"
    assert Recipe.from_json(ddpm.to_json()).request.sampling.sampler == "ddpm"
    painted = studio.generate(ddpm.request)[0]
    assert reproduce(studio, Recipe.from_json(ddpm.to_json())).image == painted.image
    plain = json.loads(Recipe.from_request(studio, request()).to_json())
    assert plain["format"] == 1
    del plain["sampler"]  # as recipes were written before
    assert Recipe.from_json(json.dumps(plain)).request.sampling.sampler == "ddim"


def test_the_mention_a_subject_is_bound_to_comes_back(studio):
    two = request(prompt="a cat and a cat in a hat", subjects=(replace(CAT, occurrence=1), HAT))
    recipe = Recipe.from_json(Recipe.from_request(studio, two).to_json())
    assert [subject.occurrence for subject in recipe.request.subjects] == [1, None]
    assert json.loads(recipe.to_json())["format"] == 1
    every = replace(two, subjects=(replace(CAT, occurrence="all"), HAT))
    of_all = Recipe.from_json(Recipe.from_request(studio, every).to_json())
    assert [subject.occurrence for subject in of_all.request.subjects] == ["all", None]
    assert json.loads(of_all.to_json())["format"] == 2
    here = studio.embed(two)
    assert torch.equal(studio.embed(recipe.request), here)
    elsewhere = replace(two, subjects=(CAT, HAT))
    assert not torch.equal(studio.embed(elsewhere), here)
    for wrong in (-1, 1.5, 10**9):
        content = json.loads(recipe.to_json())
        content["subjects"][0]["occurrence"] = wrong
        with pytest.raises(RecipeError):
            Recipe.from_json(json.dumps(content))


def test_any_prompt_comes_back(studio, kept):
    prompt = "a cat, “naïve” \\ λ \x00 猫 🐈\n and a hat"
    recipe = replace(kept, request=replace(kept.request, prompt=prompt))
    assert read(write(photo("red"), recipe)).request.prompt == prompt


def test_paths_and_bytes_are_read(png, kept, tmp_path):
    (tmp_path / "a picture.png").write_bytes(png)
    for source in (png, tmp_path / "a picture.png", str(tmp_path / "a picture.png")):
        assert read(source).to_json() == kept.to_json()


def test_a_recipe_is_small(png):
    assert len(png) - len(write(photo("red"), None)) < 4000


# The picture again


@pytest.mark.parametrize("count, index", [(1, 0), (2, 1), (3, 0), (3, 1), (3, 2), (5, 4)])
def test_a_picture_is_painted_again_from_its_png(studio, count, index):
    wanted = request(count=count)
    painted = studio.generate(wanted)[index]
    recipe = Recipe.from_request(studio, wanted, index)
    found = read(write(painted.image, recipe))
    assert check(found, studio.models) == []
    again = reproduce(studio, found)
    assert bits(again) == bits(painted) and again.seed == painted.seed
    assert torch.equal(again.embedding, painted.embedding)


def test_only_the_batch_of_a_picture_is_painted_again(studio, monkeypatch):
    seen = []
    recipe = Recipe.from_request(studio, request(count=5, seed=MAX_SEED - 1), index=3)
    reproduce(studio, recipe, lambda info: seen.append(info.total))
    assert seen == [BATCH] * STEPS
    assert reproduce(studio, recipe).seed == 1, "seeds wrap at the end"


def test_a_picture_with_edges_is_painted_again(studio):
    wanted = request(canny=photo("black"), canny_low=10, canny_high=50)
    [painted] = studio.generate(wanted)
    found = read(write(painted.image, Recipe.from_request(studio, wanted)))
    assert (found.request.canny_low, found.request.canny_high) == (10, 50)
    assert bits(reproduce(studio, found)) == bits(painted)
    assert bits(
        reproduce(studio, replace(found, request=replace(found.request, edges=None)))
    ) != bits(painted)
    [after] = studio.generate(wanted)
    assert bits(after) == bits(painted), "the studio itself keeps looking for edges"


def test_plain_text_to_image_is_painted_again(studio):
    wanted = Request("a boat", sampling=Sampling(STEPS))
    [painted] = studio.generate(wanted)
    found = read(write(painted.image, Recipe.from_request(studio, wanted)))
    assert bits(reproduce(studio, found)) == bits(painted)


def test_a_point_of_a_square_is_painted_again(studio):
    others = (replace(CAT, picture=photo("gray")), replace(HAT, picture=photo("red")))
    corners = studio.square("a cat wearing a hat", (CAT, others[0]), (HAT, others[1]), seed=3)
    painted = studio.at(corners, 0.3, 0.8, seed=11, sampling=Sampling(STEPS, 2.0))
    recipe = Recipe.from_point(studio, painted, sampling=Sampling(STEPS, 2.0), prompt="a cat …")
    found = read(write(painted.image, recipe))
    assert found.request.prompt == "a cat …" and found.request.subjects == ()
    assert torch.equal(found.embedding, painted.embedding)
    again = reproduce(studio, found)
    assert bits(again) == bits(painted) and again.seed == 11
    assert torch.equal(again.embedding, painted.embedding)
    assert read(write(painted.image, Recipe.from_point(studio, painted))).request.prompt == ""


def test_corners_come_from_recipes_cards_and_any_picture(studio, tmp_path):
    wanted = request(count=2)
    picture = studio.generate(wanted)[1]
    painted = tmp_path / "painted.png"
    painted.write_bytes(write(picture.image, Recipe.from_request(studio, wanted, index=1)))
    turned = studio.paint(-picture.embedding[None], [3], Sampling(STEPS))[0]
    point = write(turned.image, Recipe.from_point(studio, turned, Sampling(STEPS)))
    card = Card.from_subject(studio, HAT)
    plain = tmp_path / "plain.jpg"
    photo("green").save(plain)
    corners = corners_of(studio, [painted, point, write_card(card), plain])
    assert torch.allclose(corners[0], picture.embedding, atol=1e-6)
    assert torch.equal(corners[1], -picture.embedding)
    assert torch.equal(corners[2], card.embedding)
    with torch.no_grad():
        seen = studio.models.clip.image([Image.open(plain).convert("RGB")])[0]
    assert torch.allclose(corners[3], seen.float(), atol=1e-6)
    foreign = replace(Recipe.from_point(studio, turned, Sampling(STEPS)), stack="pocket")
    assert not torch.equal(point_of(studio, write(turned.image, foreign)), -picture.embedding)
    with pytest.raises(RecipeError, match="four corners"):
        corners_of(studio, [plain])


def test_wrong_requests_have_no_recipe(studio):
    with pytest.raises(RecipeError, match="index is 2"):
        Recipe.from_request(studio, request(count=2, subjects=()), index=2)
    with pytest.raises(RequestError, match="prompt is empty"):
        Recipe.from_request(studio, request(prompt=" ", subjects=()))
    with pytest.raises(PictureError, match="picture of"):
        Recipe.from_request(studio, request(subjects=(replace(CAT, picture=b"x"),)))


# Elsewhere


def test_differences_are_told(studio, kept):
    def told(recipe: Recipe, **stack) -> str:
        models = replace(studio.models, stack=replace(studio.models.stack, **stack))
        return " ".join(map(str, check(recipe, models)))

    assert told(kept) == ""
    assert "“pocket”" in told(replace(kept, stack="pocket"))
    assert len(check(replace(kept, stack="pocket", weights={}), studio.models)) == 1
    other = {**kept.weights, "prior": "0" * 64}
    assert told(replace(kept, weights=other)).startswith("The weights of the prior are others")
    assert "torch 1.0" in told(replace(kept, versions={**kept.versions, "torch": "1.0"}))
    assert "diffusers None" in told(replace(kept, versions={}))
    assert "“cuda”" in told(replace(kept, device="cuda"))
    assert "128 px" in told(replace(kept, size_px=128))
    assert "Up to 2" in told(kept, batch_size=8)
    one = replace(kept, request=replace(kept.request, count=1), index=0)
    assert told(one, batch_size=8) == ""
    assert len(told(replace(kept, stack="x" * 10**5))) < 300, "strangers' words are cut short"


def test_embeddings_of_another_width_are_refused(studio, kept):
    wide = torch.ones(DIM + 1)
    subjects = (Subject("cat", embedding=wide),)
    point = replace(kept, embedding=wide)
    for recipe in (point, replace(kept, request=replace(kept.request, subjects=subjects))):
        with pytest.raises(RecipeError, match=f"{DIM + 1} numbers"):
            reproduce(studio, recipe)


def test_checksums_of_files_and_of_a_manifest_agree(studio, folders, tmp_path):
    found = checksums(studio.models.stack)
    assert set(found) == set(PARTS) and len(set(found.values())) == 3
    assert all(len(value) == 64 for value in found.values())
    assert checksums(studio.models.stack, folders) == found

    copies = write_stack(tmp_path)
    manifest = write_manifest(tmp_path)
    shipped = replace(STACKS["pocket"], **copies, manifest=manifest)
    assert checksums(shipped) == found
    content = json.loads(manifest.read_text())
    content["files"]["prior/config.json"]["sha256"] = "0" * 64
    (tmp_path / "other.json").write_text(json.dumps(content))
    other = checksums(replace(shipped, manifest=tmp_path / "other.json"))
    assert [part for part in PARTS if other[part] != found[part]] == ["prior"]


def test_other_files_have_other_checksums(folders, tmp_path):
    copies = write_stack(tmp_path)
    config = tmp_path / "prior" / "config.json"
    config.write_text(config.read_text() + "\n")
    a, b = checksums(STACKS["kandinsky"], folders), checksums(STACKS["kandinsky"], copies)
    assert [part for part in PARTS if a[part] != b[part]] == ["prior"]


def test_the_hubs_cache_knows_the_checksums_of_large_files(tmp_path):
    blob = tmp_path / ("ab" * 32)
    blob.write_bytes(b"not hashed")
    link = tmp_path / "weights.safetensors"
    link.symlink_to(blob)
    assert _file_checksum(link) == "ab" * 32


# The mark and the switch


@pytest.mark.parametrize("with_recipe", [True, False])
def test_every_picture_is_marked_as_generated(kept, with_recipe):
    data = write(photo("red"), kept if with_recipe else None)
    with Image.open(io.BytesIO(data)) as image:
        assert image.convert("RGB").tobytes() == add(photo("red")).tobytes()
        root = ElementTree.fromstring(image.info["xmp"].decode().strip("\ufeff"))
    name = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
    [mark] = [one.get(name) for one in root.iter() if one.get(name)]
    assert mark == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def test_left_out_it_is_left_out(png):
    with Image.open(io.BytesIO(png)) as image:
        data = write(image, None)  # a picture that came with one
    assert KEYWORD.encode() not in data and b"zTXt" not in data
    with pytest.raises(NoRecipeError, match="no recipe in this picture"):
        read(data)


# Files of strangers


def test_files_without_a_recipe(tmp_path):
    jpeg = io.BytesIO()
    photo("red").save(jpeg, "JPEG")
    for data in (jpeg.getvalue(), b"", b"no picture", with_text("{}", CARD_KEYWORD)):
        with pytest.raises(NoRecipeError):
            read(data)
    with pytest.raises(RecipeError, match="no.png is not a file"):
        read(tmp_path / "no.png")
    with pytest.raises(RecipeError):
        read(tmp_path)


def test_a_newer_format(kept):
    for version in (3, 10**50):
        with pytest.raises(NewerRecipeError, match="newer version of this program"):
            read(changed(kept, "format", version))


@pytest.mark.parametrize(
    "path, value",
    [
        ("format", 0),
        ("format", "1"),
        ("format", True),
        ("prompt", None),
        ("prompt", ["cat"]),
        ("prompt", "half a character: \ud83d"),
        ("subjects", {}),
        ("subjects", [7]),
        ("subjects", [None] * 10_000),
        ("subjects.0.noun", ["cat"]),
        ("subjects.0.noun", ""),
        ("subjects.0.strength", float("nan")),
        ("subjects.0.strength", 2.5),
        ("subjects.0.strength", "1"),
        ("subjects.0.strength", 10**400),
        ("subjects.0.embedding", None),
        ("subjects.0.embedding", ""),
        ("subjects.0.embedding", "AAAA"),
        ("subjects.0.embedding", "AAA"),
        ("subjects.0.embedding", "ÄÄÄÄ"),
        ("subjects.0.embedding", floats(1, float("nan"))),
        ("subjects.0.embedding", floats(float("inf"))),
        ("subjects.0.embedding", floats(*[1.0] * 20_000)),
        ("embedding", floats(float("-inf"))),
        ("embedding", [1.0]),
        ("seed", -1),
        ("seed", MAX_SEED + 1),
        ("seed", 1.0),
        ("seed", 10**4000),
        ("count", 0),
        ("count", 10**9),
        ("index", 3),
        ("index", -1),
        ("index", False),
        ("batch_size", 0),
        ("batch_size", 10**9),
        ("steps", None),
        ("steps", 10**6),
        ("guidance", float("inf")),
        ("guidance", -1),
        ("sampler", "euler"),
        ("sampler", None),
        ("size_px", 10**7),
        ("stack", 1),
        ("device", None),
        ("weights", {}),
        ("weights", "clip prior decoder"),
        ("weights.prior", 7),
        ("versions", None),
        ("versions.torch", 2.4),
        ("canny", "yes"),
        ("canny.low", 900),
        ("canny.high", 2000),
        ("canny.high", float("nan")),
        ("canny.edges", None),
        ("canny.edges", "AAAA"),
        ("canny.edges", edges_png("RGB")),
        ("canny.edges", edges_png(size=(64, 32))),
        ("canny.edges", edges_png(size=(4096, 4096))),
    ],
)
def test_wrong_values(kept, path, value):
    with pytest.raises(RecipeError, match="is damaged") as error:
        read(changed(kept, path, value))
    assert not isinstance(error.value, NoRecipeError) and len(str(error.value)) < 300


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", "null", '"x"', "[" * 10**5, "NaN", "1" * 10_000, '{"format": 1}']
)
def test_what_is_no_recipe_at_all(text):
    with pytest.raises(RecipeError):
        read(with_text(text))


def test_missing_entries(kept):
    content = json.loads(kept.to_json())
    for name in content.keys() - {"canny", "embedding", "sampler"}:
        rest = {key: value for key, value in content.items() if key != name}
        with pytest.raises(RecipeError, match=name):
            Recipe.from_json(json.dumps(rest))


def test_huge_texts(kept):
    for letters in (MAX_TEXT + 1, 100 * MAX_TEXT):
        for zip in (True, False):
            with pytest.raises(RecipeError, match="absurdly large|is damaged"):
                read(with_text("x" * letters, zip=zip))
    with pytest.raises(RecipeError, match="shorten the prompt"):
        request = replace(kept.request, prompt="cat hat " * 200_000)
        write(photo("red"), replace(kept, request=request))


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def test_broken_files_end_in_a_clear_error(png):
    """Cut off anywhere, or with any byte turned over: the recipe as it was, or an error."""
    whole = read(png).to_json()
    for end in range(0, len(png), 97):
        with suppress(RecipeError):
            assert read(png[:end]).to_json() == whole
    for place in range(0, len(png), 31):
        data = bytearray(png)
        data[place] ^= 0xFF
        with suppress(RecipeError):
            assert read(bytes(data)).to_json() == whole


def test_hostile_chunks(png):
    signature, header, rest = png[:8], png[8:33], png[33:]
    enormous = chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0))
    for bad in (
        signature + header + chunk(b"zTXt", KEYWORD.encode() + b"\0\0not zlib") + rest[-12:],
        signature + header + chunk(b"zTXt", KEYWORD.encode() + b"\0\7method") + rest[-12:],
        signature + header + struct.pack(">I", 2**31 - 1) + b"zTXt" + KEYWORD.encode(),
        signature + enormous + rest,
    ):
        with pytest.raises(RecipeError):
            read(bad)


# Cards


@pytest.fixture(scope="module")
def card(studio) -> Card:
    return Card.from_subject(studio, CAT)


def test_a_card_comes_back_bit_for_bit(studio, card, tmp_path):
    data = write_card(card)
    (tmp_path / "cat.png").write_bytes(data)
    for source in (data, tmp_path / "cat.png"):
        again = read_card(source)
        assert (again.noun, again.stack, again.clip) == ("cat", "kandinsky", card.clip)
        assert again.picture.mode == "RGBA" and again.picture.size == card.picture.size
        assert again.picture.tobytes() == card.picture.tobytes()
        assert again.embedding.numpy().tobytes() == card.embedding.numpy().tobytes()
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "RGBA" and "xmp" not in image.info, "a cut-out photo, not generated"


def test_a_card_stands_for_its_subject(studio, card):
    subject = read_card(write_card(card)).subject(studio.models)
    assert (subject.noun, subject.picture.mode) == ("cat", "RGBA")
    assert torch.equal(
        studio.embed(request(subjects=(replace(subject, strength=CAT.strength), HAT))),
        studio.embed(request()),
    )


def test_a_card_of_another_stack_is_still_a_picture(studio, card):
    assert card.fits("kandinsky", card.clip)
    for other in (replace(card, stack="pocket"), replace(card, clip="0" * 64)):
        assert not other.fits("kandinsky", card.clip)
        subject = read_card(write_card(other)).subject(studio.models)
        assert subject.embedding is None
        assert studio.subject_embedding(subject).shape == (DIM,)


def test_cards_without_a_noun_and_without_transparency(card):
    bare = replace(card, noun="", picture=Image.new("RGBA", (32, 32), "red"))
    again = read_card(write_card(bare))
    assert again.noun == "" and again.picture.tobytes() == bare.picture.tobytes()


def test_wrong_cards(card, png):
    with pytest.raises(NoRecipeError, match="no card"):
        read_card(png)
    text = Image.open(io.BytesIO(write_card(card))).info[CARD_KEYWORD]
    for name, value in (
        ("noun", 1),
        ("stack", None),
        ("clip", []),
        ("embedding", floats(float("nan"))),
        ("embedding", "?"),
    ):
        with pytest.raises(RecipeError, match="card in this picture is damaged"):
            read_card(with_text(json.dumps({**json.loads(text), name: value}), CARD_KEYWORD))
    with pytest.raises(NewerRecipeError):
        read_card(with_text(json.dumps({**json.loads(text), "format": FORMAT + 1}), CARD_KEYWORD))
    with pytest.raises(RecipeError):
        read_card(with_text("{", CARD_KEYWORD))
    whole = write_card(card)
    with pytest.raises((RecipeError, PictureError)):
        read_card(whole[: len(whole) - 200])
