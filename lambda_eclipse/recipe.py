"""Recipes: what a PNG carries so that its picture can be painted again, bit for bit.

A recipe is JSON in a text chunk, and never holds a photo:

- A subject is kept as its embedding, in full float32: the prior sees nothing else of it.
- The edge control is kept as the edge map that the encoder saw, one bit per pixel. Edges can't be
  found again without their photo, and other than an embedding a map can be shown on the page,
  and encoded by any stack.
- A picture is one of those painted with it in one go, whose number and place reach its last bits
  (see `decoder`). So the recipe tells the picture's place in its request, and the same batch is
  painted again. What else is in the batch does not matter.

Files come from strangers: everything read is checked, and wrong files end in a RecipeError.

Letters: D embedding width, P side of a picture in px.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from lambda_eclipse import __version__
from lambda_eclipse.images import flatten, open_picture
from lambda_eclipse.pipeline import SEEDS, Picture, Request, Studio, Subject
from lambda_eclipse.stacks import PATTERNS, Models, Stack, source_of
from lambda_eclipse.weights import read_json, resolve

if TYPE_CHECKING:
    from lambda_eclipse.decoder import OnStep

FORMAT = 1  # of recipes and cards; one more whenever older programs would misread them
KEYWORD = "lambda-eclipse"
CARD_KEYWORD = "lambda-eclipse-card"

MAX_TEXT = PngImagePlugin.MAX_TEXT_CHUNK  # characters; ours are 1/10 of that at most
MAX_DIM = 16384
MAX_SIDE_PX = 2048
MAX_BATCH = 1024

# IPTC's mark of pictures made by a trained model, as an XMP packet.
XMP_KEYWORD = "XML:com.adobe.xmp"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


class RecipeError(ValueError):
    """A recipe or card that cannot be used; the message says why and what to do."""


class NoRecipeError(RecipeError):
    """A file without any recipe or card: an ordinary picture, or no picture at all."""


class NewerRecipeError(RecipeError):
    """A recipe or card of a later format than this program knows."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """How one picture was painted.

    request: the whole request. Each subject has its embedding and no picture; steps and guidance
        are numbers; `canny` is None, what it became is in `edges`.
    index: which of the request's pictures, 0..count − 1. batch_size: painted in one go at most.
    stack: its name. weights: SHA-256 of "clip", "prior" and "decoder", as by `checksums`.
    versions: of the packages that compute. device: "cpu", "cuda" or "mps". size_px: P.
    embedding: (D,) float32, of a picture painted from this very point, of a square say, instead of
        from what the prior makes of the request. The seed is the decoder's then, the count 1, and
        the prompt is just a note.
    """

    request: Request
    index: int
    batch_size: int
    stack: str
    weights: Mapping[str, str]
    versions: Mapping[str, str]
    device: str
    size_px: int
    embedding: Tensor | None = None

    @classmethod
    def from_request(cls, studio: Studio, request: Request, index: int = 0) -> Recipe:
        """The recipe of picture `index` (0..count − 1) of what `studio` paints for `request`.

        Subjects that come with a picture only are encoded here, so give the request that was
        painted with their embeddings where they are at hand; `dataclasses.replace` turns the
        recipe of one picture into that of the next. Raises RecipeError for an index out of range,
        RequestError and PictureError for the request.
        """
        request.check()
        subjects = tuple(
            Subject(
                one.noun,
                strength=float(one.strength),
                embedding=studio.subject_embedding(one),
                occurrence=one.occurrence,
            )
            for one in request.subjects
        )
        explicit, edges = _explicit(request, studio.models.stack), studio.edges(request)
        kept = replace(explicit, subjects=subjects, canny=None, edges=edges)
        return _checked(cls(kept, index, **_circumstances(studio.models)))

    @classmethod
    def from_point(
        cls,
        studio: Studio,
        picture: Picture,
        steps: int | None = None,
        guidance: float | None = None,
        *,
        prompt: str = "",
    ) -> Recipe:
        """The recipe of a picture that `Studio.at` painted.

        One of `Studio.grid`, painted with others in one go, it gives again up to rounding only.
        steps, guidance: as they were given for painting. prompt: a note of what it shows. Raises
        RequestError for values out of range.
        """
        request = Request(prompt, seed=picture.seed, steps=steps, guidance=guidance)
        kept = _explicit(request, studio.models.stack)
        embedding = picture.embedding.detach().float().cpu()
        return _checked(cls(kept, 0, embedding=embedding, **_circumstances(studio.models)))

    def to_json(self) -> str:
        """The recipe as ASCII JSON; floats come back bit for bit."""
        request, control = self.request, None
        if request.edges is not None:
            low, high = request.canny_low, request.canny_high
            control = {"edges": _edges_text(request.edges), "low": low, "high": high}
        content = {
            "format": FORMAT,
            "versions": dict(self.versions),
            "stack": self.stack,
            "weights": dict(self.weights),
            "device": self.device,
            "prompt": request.prompt,
            "subjects": [
                {
                    "noun": subject.noun,
                    "strength": subject.strength,
                    "occurrence": subject.occurrence,
                    "embedding": _floats_text(subject.embedding),
                }
                for subject in request.subjects
            ],
            "canny": control,
            "seed": request.seed,
            "count": request.count,
            "index": self.index,
            "batch_size": self.batch_size,
            "steps": request.steps,
            "guidance": request.guidance,
            "size_px": self.size_px,
            "embedding": None if self.embedding is None else _floats_text(self.embedding),
        }
        return json.dumps(content, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read `to_json` back. Raises RecipeError for damaged, absurd and newer recipes."""
        with _reading("recipe"):
            content = _content(text, "recipe")
            control, embedding = content.get("canny"), content.get("embedding")
            weights, versions = (_field(content, name, dict) for name in ("weights", "versions"))
            request = Request(
                _string(content, "prompt"),
                tuple(_subject(one) for one in _field(content, "subjects", list)),
                seed=_field(content, "seed", int),
                count=_field(content, "count", int),
                steps=_field(content, "steps", int),
                guidance=_number(content, "guidance"),
            )
            if control is not None:
                low, high = _number(control, "low"), _number(control, "high")
                edges = _edges(_string(control, "edges"))
                request = replace(request, canny_low=low, canny_high=high, edges=edges)
            recipe = cls(
                request,
                _field(content, "index", int),
                _field(content, "batch_size", int),
                stack=_string(content, "stack"),
                weights={part: _string(weights, part) for part in PATTERNS},
                versions={name: _string(versions, name) for name in versions},
                device=_string(content, "device"),
                size_px=_field(content, "size_px", int),
                embedding=None if embedding is None else _floats(_string(content, "embedding")),
            )
            return _checked(recipe)


def write(image: Image.Image, recipe: Recipe | None) -> bytes:
    """A picture as a PNG file: always with IPTC's mark, and with its recipe unless None.

    Raises RecipeError when the recipe is larger than readers accept (a prompt of a million
    letters).
    """
    info = PngImagePlugin.PngInfo()
    info.add_itxt(XMP_KEYWORD, XMP)
    if recipe is not None:
        _add_text(info, KEYWORD, recipe.to_json())
    return _png(image, pnginfo=info)


def read(source: str | Path | bytes) -> Recipe:
    """The recipe in a PNG: a path, or the bytes of a file. The pixels are not looked at.

    Raises NoRecipeError where there is none, and RecipeError for a file that is missing, and for
    recipes that are damaged, absurd, or of a newer format.
    """
    return Recipe.from_json(_text_in(source, KEYWORD, "recipe"))


def check(recipe: Recipe, models: Models) -> list[str]:
    """What is different here from where the picture was painted, a sentence each.

    Without any, `reproduce` gives the same bits, given the same machine.
    """
    stack = models.stack
    if recipe.stack != stack.name:
        other = _short(recipe.stack)
        return [f"It was painted by the stack “{other}”, and this is “{stack.name}”."]
    here = _circumstances(models)
    found = [
        f"The weights of the {part} are others than those it was painted with."
        for part, checksum in here["weights"].items()
        if recipe.weights[part] != checksum
    ]
    found += [
        f"It was painted with {name} {_short(recipe.versions.get(name))}, and this is {version}."
        for name, version in here["versions"].items()
        if recipe.versions.get(name) != version
    ]
    if recipe.device != here["device"]:
        other = _short(recipe.device)
        found.append(f"It was painted on “{other}”, and this is “{here['device']}”.")
    if recipe.size_px != here["size_px"]:
        found.append(f"It has {recipe.size_px} px a side; here they have {here['size_px']}.")
    if recipe.batch_size != here["batch_size"] and recipe.request.count > 1:
        found.append(
            f"Up to {recipe.batch_size} pictures were painted in one go, "
            f"here up to {here['batch_size']} are."
        )
    return found


def reproduce(studio: Studio, recipe: Recipe, on_step: OnStep | None = None) -> Picture:
    """Paint a recipe's picture again: the same bits where `check` finds no difference.

    `on_step` as in `Studio.generate`. Raises RecipeError for embeddings of another width than
    the studio's stack has, and what `Studio.generate` raises.
    """
    request, width = recipe.request, studio.models.clip.embed_dim
    for embedding in (recipe.embedding, *(subject.embedding for subject in request.subjects)):
        if embedding is not None and len(embedding) != width:
            raise RecipeError(
                f"The recipe has embeddings of {len(embedding)} numbers, and those of the "
                f"{studio.models.stack.name} stack have {width}: open the stack it was painted by."
            )
    if recipe.embedding is not None:
        how = ([request.seed], request.steps, request.guidance, on_step)
        [picture] = studio.paint(recipe.embedding[None], *how)
        return picture
    start = recipe.index // recipe.batch_size * recipe.batch_size
    batch = replace(
        request,
        seed=(request.seed + start) % SEEDS,
        count=min(recipe.batch_size, request.count - start),
    )
    return studio.generate(batch, on_step)[recipe.index - start]


def point_of(studio: Studio, source: str | Path | bytes) -> Tensor:
    """(D,) embedding of a picture file, on the CPU: what it was painted from, if that is known.

    A PNG with a recipe or a card of these weights tells it exactly; of any other picture it is
    what CLIP sees in all of it. Raises RecipeError for damaged ones and PictureError.
    """
    here = checksums(studio.models.stack)
    try:
        recipe = read(source)
    except NoRecipeError:
        pass
    else:
        if (recipe.stack, dict(recipe.weights)) == (studio.models.stack.name, here):
            if recipe.embedding is not None:
                return recipe.embedding
            request = recipe.request
            seed = (request.seed + recipe.index) % SEEDS
            return studio.embed(replace(request, seed=seed, count=1))[0]
    try:
        card = read_card(source)
    except NoRecipeError:
        pass
    else:
        if card.fits(studio.models.stack.name, here["clip"]):
            return card.embedding
    picture = flatten(open_picture(source, "corner"))
    with torch.no_grad(), studio.models.encoders() as (clip, _):
        return clip.image([picture])[0].float().cpu()


def corners_of(studio: Studio, sources: Sequence[str | Path | bytes]) -> Tensor:
    """(4, D) corners of a square between four picture files; see `point_of` and `Studio.square`."""
    if len(sources) != 4:
        raise RecipeError(f"A square has four corners, not {len(sources)}.")
    return torch.stack([point_of(studio, source) for source in sources])


def checksums(stack: Stack, sources: Mapping[str, str] | None = None) -> dict[str, str]:
    """SHA-256 (64 hex digits) of a stack's "clip", "prior" and "decoder", each of all its files.

    `sources` as in `stacks.load`. Taken from the manifest of shipped files, else computed, once:
    for ten gigabytes that may take a minute. Raises WeightsError when a source is not here.
    """
    found = {}
    for part in PATTERNS:
        source = source_of(stack, part, sources)
        shipped = source == getattr(stack, part)
        found[part] = _checksum(part, source, stack.manifest if shipped else None)
    return found


@dataclass(frozen=True, eq=False)
class Card:
    """A subject to keep: its noun, what it looks like, and what the model sees in it.

    noun: may be empty, for whoever loads the card to fill in.
    picture: RGBA cut-out, P × P, P being CLIP's. embedding: (D,) float32, of the CLIP model with
    the checksum `clip` in the stack of that name.
    """

    noun: str
    picture: Image.Image
    embedding: Tensor
    stack: str
    clip: str

    @classmethod
    def from_subject(cls, studio: Studio, subject: Subject) -> Card:
        """Cut out and encode a subject with a picture. Errors as in `Studio.prepare`."""
        cutout = studio.prepare(subject).cutout
        stack = studio.models.stack
        embedding = studio.subject_embedding(subject)
        return cls(subject.noun, cutout, embedding, stack.name, checksums(stack)["clip"])

    def fits(self, stack: str, clip: str) -> bool:
        """Whether the embedding means the same to the stack of that name, with that CLIP."""
        return (self.stack, self.clip) == (stack, clip)

    def subject(self, models: Models) -> Subject:
        """The subject for a request: with the embedding where it fits, else the picture alone."""
        fits = self.fits(models.stack.name, checksums(models.stack)["clip"])
        return Subject(self.noun, self.picture, embedding=self.embedding if fits else None)


def write_card(card: Card) -> bytes:
    """A card as a PNG file that shows its subject. Not marked as generated: it is a photo's."""
    content = {
        "format": FORMAT,
        "noun": card.noun,
        "stack": card.stack,
        "clip": card.clip,
        "embedding": _floats_text(card.embedding),
    }
    info = PngImagePlugin.PngInfo()
    _add_text(info, CARD_KEYWORD, json.dumps(content))
    return _png(card.picture.convert("RGBA"), pnginfo=info)


def read_card(source: str | Path | bytes) -> Card:
    """The card in a PNG: a path, or the bytes of a file; one of another stack as well.

    Raises NoRecipeError where there is none, RecipeError for one that is missing, damaged or of
    a newer format, and PictureError when its picture is.
    """
    text = _text_in(source, CARD_KEYWORD, "card")
    with _reading("card"):
        content = _content(text, "card")
        noun, stack, clip = (_string(content, name) for name in ("noun", "stack", "clip"))
        embedding = _floats(_string(content, "embedding"))
    return Card(noun, open_picture(source, "card").convert("RGBA"), embedding, stack, clip)


def _circumstances(models: Models) -> dict[str, Any]:
    """The fields of a recipe that are the same for all that `models` paint."""
    return {
        "batch_size": models.stack.batch_size,
        "stack": models.stack.name,
        "weights": checksums(models.stack),
        "versions": {
            "lambda_eclipse": __version__,
            "torch": str(torch.__version__),  # with the build, which the package's version lacks
            "diffusers": metadata.version("diffusers"),
            "open_clip": metadata.version("open_clip_torch"),
        },
        "device": models.device.type,
        "size_px": models.decoder.native_size_px,
    }


def _explicit(request: Request, stack: Stack) -> Request:
    """The request with the stack's defaults filled in, and plain numbers that JSON can hold."""
    steps = stack.steps if request.steps is None else request.steps
    guidance = stack.guidance if request.guidance is None else request.guidance
    return replace(
        request,
        seed=int(request.seed),
        count=int(request.count),
        steps=int(steps),
        guidance=float(guidance),
        canny_low=float(request.canny_low),
        canny_high=float(request.canny_high),
    )


def _checked(recipe: Recipe) -> Recipe:
    """The recipe, if all its numbers are in range; RequestError or RecipeError otherwise."""
    request = recipe.request
    (request if recipe.embedding is None else replace(request, prompt="a point")).check()
    for what, value, low, high in (
        ("index", recipe.index, 0, request.count - 1),
        ("batch size", recipe.batch_size, 1, MAX_BATCH),
        ("size in px", recipe.size_px, 1, MAX_SIDE_PX),
        ("high Canny threshold", request.canny_high, 0, 1000),
        ("low Canny threshold", request.canny_low, 0, request.canny_high),
    ):
        if not low <= value <= high:
            raise RecipeError(f"The {what} is {value}: it must be between {low} and {high}.")
    return recipe


@functools.cache
def _checksum(part: str, source: str, manifest: Path | None) -> str:
    """SHA-256 of the lines "checksum  name" of a part's files: what `sha256sum` would list."""
    if manifest is not None:
        files = read_json(manifest)["files"]
        below = Path(source).relative_to(manifest.parent).as_posix()
        named = {name: files.get(f"{below}/{name}", {}).get("sha256") for name in PATTERNS[part]}
    else:
        folder = resolve(source, patterns=PATTERNS[part])
        named = {name: _file_checksum(folder / name) for name in PATTERNS[part]}
    lines = [f"{digest}  {name}\n" for name, digest in sorted(named.items()) if digest]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_checksum(path: Path) -> str | None:
    if not path.is_file():
        return None  # some are optional, and loading has complained about the others
    blob = path.resolve().name
    if re.fullmatch("[0-9a-f]{64}", blob):
        return blob  # the hub's cache names large files by their checksum
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _png(image: Image.Image, **options: Any) -> bytes:
    clean = image.copy()
    clean.info = {}  # nothing that came with the picture travels on
    out = io.BytesIO()
    clean.save(out, "PNG", **options)
    return out.getvalue()


def _add_text(info: PngImagePlugin.PngInfo, keyword: str, text: str) -> None:
    if len(text) > MAX_TEXT:
        raise RecipeError(f"{len(text)} characters are too many for a PNG: shorten the prompt.")
    info.add_text(keyword, text, zip=True)


def _text_in(source: str | Path | bytes, keyword: str, what: str) -> str:
    """The text chunk of a PNG with this keyword, before its pixels, where `write` puts it."""
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            text = image.info.get(keyword) if image.format == "PNG" else None
    except FileNotFoundError:
        raise RecipeError(f"{source} is not a file: check its path.") from None
    except UnidentifiedImageError:
        raise NoRecipeError(
            f"This file is no picture, or a damaged one: give a PNG with a {what} in it."
        ) from None
    except Exception as error:  # PIL raises nearly anything on broken and hostile files
        raise RecipeError(
            f"This file is damaged or absurdly large ({_short(error)}): give a PNG as it was saved."
        ) from error
    if text is None:
        raise NoRecipeError(
            f"There is no {what} in this picture: it was saved without, or by a program that "
            f"drops it. Give a PNG as it was saved."
        )
    return text


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Whatever a broken content leads to becomes one kind of error."""
    try:
        yield
    except NewerRecipeError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise RecipeError(
            f"The {what} in this picture is damaged ({_short(error)}): use a PNG as it was saved."
        ) from error


def _content(text: str, what: str) -> dict[str, Any]:
    """The JSON object of a format that is known here."""
    if len(text) > MAX_TEXT:
        raise ValueError(f"{len(text)} characters")
    content = json.loads(text)
    version = _field(content, "format", int)
    if version > FORMAT:
        raise NewerRecipeError(
            f"This {what} is of format {_short(version)}, made by a newer version of this "
            f"program: update it, it reads formats up to {FORMAT}."
        )
    if version < 1:
        raise ValueError(f'"format" is {version}')
    return content


def _field(content: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    """An entry of a JSON object, of that kind; a bool is no number."""
    value = content.get(name) if isinstance(content, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f'"{name}" is {_short(repr(value))}')
    return value


def _string(content: Any, name: str) -> str:
    value = _field(content, name, str)
    value.encode()  # JSON can spell halves of characters, which nothing can print or tokenize
    return value


def _number(content: Any, name: str) -> float:
    return float(_field(content, name, (int, float)))


def _subject(content: Any) -> Subject:
    embedding = _floats(_string(content, "embedding"))
    noun, strength = _string(content, "noun"), _number(content, "strength")
    occurrence = None if content.get("occurrence") is None else _field(content, "occurrence", int)
    return Subject(noun, strength=strength, embedding=embedding, occurrence=occurrence)


def _floats_text(values: Tensor) -> str:
    """(D,) as base64 of little-endian float32."""
    return base64.b64encode(values.numpy().astype("<f4").tobytes()).decode()


def _floats(text: str) -> Tensor:
    """(D,) float32, finite, of 1..MAX_DIM numbers; ValueError otherwise."""
    values = np.frombuffer(_bytes(text), "<f4").astype(np.float32)
    if not 1 <= len(values) <= MAX_DIM or not np.isfinite(values).all():
        raise ValueError(f"an embedding is not 1 to {MAX_DIM} finite numbers")
    return torch.from_numpy(values)


def _edges_text(edges: Image.Image) -> str:
    """An edge map, black and white, as base64 of a PNG of one bit per pixel."""
    bits = edges.convert("L").convert("1", dither=Image.Dither.NONE)
    return base64.b64encode(_png(bits, optimize=True)).decode()


def _edges(text: str) -> Image.Image:
    """RGB edge map, square; ValueError for anything else."""
    data = _bytes(text)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.mode == "1" and image.width == image.height <= MAX_SIDE_PX:
                return image.convert("RGB")
    except Exception as error:  # as above
        raise ValueError("the edge map can't be read") from error
    raise ValueError(f"the edge map is no square of 1 to {MAX_SIDE_PX} px in black and white")


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("base64 is cut off or garbled") from error


def _short(value: object) -> str:
    """For messages: hostile files may hold anything."""
    text = str(value).rstrip(".")
    return text if len(text) <= 120 else text[:120] + "…"
