"""Request → pictures: the only module that combines the parts (Fig. 2).

Page, command line and Python call the same methods:

    studio = Studio.open()
    [picture] = studio.generate(Request("a cat on the beach", (Subject("cat", "my_cat.jpg"),)))

Letters: N pictures, D embedding width, K subjects, L text positions. Randomness: the seeds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import Tensor

from lambda_eclipse import interpolate
from lambda_eclipse.canny import edge_map
from lambda_eclipse.images import flatten, open_picture
from lambda_eclipse.interleave import Condition, per_mention, swap
from lambda_eclipse.masking import Prepared, prepare_subject
from lambda_eclipse.mentions import subject_places
from lambda_eclipse.messages import Report, Text
from lambda_eclipse.models import Models
from lambda_eclipse.opening import load_stack
from lambda_eclipse.prior import draw_noise
from lambda_eclipse.request import (
    GRID_SIDES,
    MODE,
    Mode,
    Picture,
    Request,
    RequestError,
    Sampling,
    Subject,
    check_integer,
    check_range,
    check_seed,
    no_picture,
)

if TYPE_CHECKING:
    from lambda_eclipse.decoder import OnStep
    from lambda_eclipse.tokens import Span


class Studio:
    """The loaded models of one stack, and the requests that they serve."""

    def __init__(self, models: Models) -> None:
        self.models = models

    @classmethod
    def open(
        cls,
        stack: str = "auto",
        device: str = "auto",
        progress: Report | None = None,
        sources: Mapping[str, str] | None = None,
        newest: bool = False,
    ) -> Studio:
        """Load a stack as `opening.load_stack` does."""
        return cls(load_stack(stack, device, progress, sources, newest))

    def prepare(self, subject: Subject) -> Prepared:
        """A subject cut out and centred on white, the image encoder's input (Sec. 3.2)."""
        if subject.picture is None:
            raise no_picture(subject)
        image = open_picture(subject.picture, Text('picture of "{noun}"', noun=subject.noun))
        size_px, margin = self.models.clip.image_size, self.models.stack.margin
        return prepare_subject(image, subject.mask, size_px, margin=margin)

    @torch.no_grad()
    def subject_embedding(self, subject: Subject) -> Tensor:
        """(D,) embedding of a subject, on the CPU: its own, or that of its picture."""
        dim = self.models.clip.embed_dim
        if subject.embedding is not None:
            embedding = torch.as_tensor(subject.embedding).detach().float().cpu().reshape(-1)
            if len(embedding) != dim or not embedding.isfinite().all():
                raise RequestError(
                    'The embedding of "{noun}" is not one of this stack: it must be {dim} finite '
                    "numbers. Add the picture again.",
                    noun=subject.noun,
                    dim=dim,
                )
            return embedding
        picture = self.prepare(subject).picture
        with self.models.encoders() as (clip, _):
            return clip.image([flatten(picture)])[0].float().cpu()

    @torch.no_grad()
    def embed(self, request: Request, prior_seed: int | None = None) -> Tensor:
        """(count, D) image embeddings from the prior, float32, on the CPU (Sec. 3, f_θ).

        The noise of picture i is drawn from `seed` + i; with `prior_seed`, that of all pictures
        from this seed. Raises RequestError, SubjectError and PictureError.
        """
        request.check()
        spans = subject_places(self.models.clip.tokenizer, request)
        edges = self.edges(request)
        with self.models.encoders() as (clip, prior):
            condition = self.condition(request, spans, edges)
            embeddings = []
            # One by one: an embedding must not depend on the number of pictures.
            for seed in request.seeds if prior_seed is None else [prior_seed] * request.count:
                generator, dtype = torch.Generator().manual_seed(seed), condition.states.dtype
                noise = draw_noise((1, clip.embed_dim), generator, self.models.device, dtype)
                embeddings.append(prior(noise, *condition))  # (1, D)
            return torch.cat(embeddings).float().cpu()

    def condition(
        self, request: Request, spans: Sequence[Sequence[Span]], edges: Image.Image | None
    ) -> Condition:
        """The prior's inputs for a request, its subjects swapped into the text states.

        spans: of each of its K subjects, the token positions of its mentions. edges: its edge map.
        """
        clip, prior = self.models.clip, self.models.prior
        dtype = next(prior.parameters()).dtype
        subjects = [self.subject_embedding(subject) for subject in request.subjects]
        embeddings = torch.stack(subjects) if subjects else torch.empty(0, clip.embed_dim)  # (K, D)
        swapped = per_mention(spans, embeddings, [one.strength for one in request.subjects])
        text = clip.text([request.prompt])
        states = swap(text.states, *swapped)  # (1, L, D)
        control = clip.image([edges]) if edges else clip.null_image()  # (1, D)
        return Condition(text.pooled.to(dtype), states.to(dtype), text.mask, control.to(dtype))

    def generate(self, request: Request, on_step: OnStep | None = None) -> list[Picture]:
        """Paint a request; picture i uses `seed` + i for the prior's and the decoder's noise.

        on_step: called after each denoising step with a `decoder.StepInfo`; if it returns False,
        `decoder.Cancelled` is raised. Errors as in `embed`.
        """
        began = time.perf_counter()
        embeddings = self.embed(request)
        return self.paint(embeddings, request.seeds, request.sampling, on_step, began)

    def square(
        self, prompt: str, a: Sequence[Subject], b: Sequence[Subject], seed: int = 0
    ) -> Tensor:
        """(4, D) corners of the square between two pairs of subjects (Fig. 7).

        Order: top left (a0, b0), top right (a1, b0), bottom left (a0, b1), bottom right (a1, b1).
        All share the prior's noise, so they differ by their subjects only. Errors as in `embed`.
        """
        if len(a) != 2 or len(b) != 2:
            raise RequestError(
                "A square needs two pairs of subjects, not {a} and {b} subjects.",
                a=len(a),
                b=len(b),
            )
        for subjects in ((a[0], b[0]), (a[1], b[1])):
            request = Request(prompt, subjects, seed=seed)
            request.check()
            subject_places(self.models.clip.tokenizer, request)
        with self.models.encoders():
            a, b = (
                [replace(subject, embedding=self.subject_embedding(subject)) for subject in pair]
                for pair in (a, b)
            )
            corners = [(a[0], b[0]), (a[1], b[0]), (a[0], b[1]), (a[1], b[1])]
            return torch.cat([self.embed(Request(prompt, pair, seed=seed)) for pair in corners])

    def at(
        self,
        corners: Tensor,
        x: float,
        y: float,
        mode: Mode = MODE,
        seed: int = 0,
        sampling: Sampling = Sampling(),
        on_step: OnStep | None = None,
    ) -> Picture:
        """The picture at (x, y) of a square, both in [0, 1]: x to the right, y downwards.

        All points of a square share the starting noise, from `seed`.
        """
        began = time.perf_counter()
        check_range(Text("x"), x, 0, 1)
        check_range(Text("y"), y, 0, 1)
        embedding = interpolate.bilinear(corners, x, y, mode)[None]  # (1, D)
        [picture] = self.paint(embedding, [seed], sampling, on_step, began)
        return picture

    def grid(
        self,
        corners: Tensor,
        n: int = 5,
        mode: Mode = MODE,
        seed: int = 0,
        sampling: Sampling = Sampling(),
        on_step: OnStep | None = None,
    ) -> list[list[Picture]]:
        """n × n pictures over a square, by rows from the top (Fig. 7); n in 2..9."""
        began = time.perf_counter()
        check_integer(Text("size of the grid"), n, *GRID_SIDES)
        embeddings = interpolate.grid(corners, n, mode).flatten(0, 1)  # (n·n, D)
        pictures = self.paint(embeddings, [seed] * n * n, sampling, on_step, began)
        return [pictures[row * n : (row + 1) * n] for row in range(n)]

    def edges(self, request: Request) -> Image.Image | None:
        """The edge map of a request, RGB, square, at most `Stack.edges_px` a side where found here.

        None without any. Raises PictureError.
        """
        if request.edges is not None or request.canny is None:
            return request.edges
        size_px = self.models.stack.edges_px
        image = open_picture(request.canny, Text("edge picture"))
        return edge_map(image, request.canny_low, request.canny_high, size_px=size_px)

    def paint(
        self,
        embeddings: Tensor,
        seeds: Sequence[int],
        sampling: Sampling = Sampling(),
        on_step: OnStep | None = None,
        began: float | None = None,
    ) -> list[Picture]:
        """One picture per embedding (N, D), with the decoder's noise from its seed.

        began: `time.perf_counter` at the start, for `Picture.seconds`; None: now. Raises
        RequestError for values out of range.
        """
        began = time.perf_counter() if began is None else began
        for seed in seeds:
            check_seed(seed)
        sampling.check()
        stack = self.models.stack
        steps, guidance = sampling.values(stack.steps, stack.guidance)
        with torch.no_grad():
            negative = self.models.clip.null_image()  # (1, D), computed once when loading
        images = self.models.decoder.paint(
            embeddings,
            negative,
            seeds=seeds,
            steps=steps,
            guidance=guidance,
            batch_size=stack.batch_size,
            sampler=sampling.sampler,
            on_step=on_step,
        )
        seconds = (time.perf_counter() - began) / len(images)
        painted = zip(images, seeds, embeddings, strict=True)
        return [Picture(image, seed, seconds, embedding) for image, seed, embedding in painted]
