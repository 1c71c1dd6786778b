"""Layout of the pocket embedding: which of its numbers describe which subject.

`LAYOUT` numbers hold the count and the spots of the subjects, `APPEARANCE` numbers their codes, in
equal shares. A code is ordered, the most important number first. The first subject's code is
written from the front, the second's from the back, further ones in between, so each number keeps
its position whatever else the picture shows. A scene's embedding is then nearly a copy of the first
numbers of its subjects' codes, which the prior can learn.

A spot is (x, y, size): a subject's centre and long side, in pixels of a 128 × 128 picture.
"""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_eclipse.paper import MAX_SUBJECTS

SIZE_PX = 128
FRAME_PX = 96  # a subject as it is encoded and drawn
FRAME_SHARE = 112 / 110  # a frame is so much larger than its subject
WHITE = 1.0  # of normalised pictures

SEEN, SPECK_PX = 0.12, 1  # distance from white and pixels per line above which something is there

LAYOUT = 4 * MAX_SUBJECTS  # how many subjects (4 numbers), then x, y and size of each
APPEARANCE = 560
COUNT_SCALE = 2.0
MIDDLE, UNIT = (64.0, 64.0, 62.0), 12.0  # of spots, in pixels: about a standard deviation


@functools.cache
def places(count: int) -> tuple[Tensor, ...]:
    """Indices of each subject's appearance numbers, in the order of its code."""
    share = APPEARANCE // count
    order = torch.arange(APPEARANCE)
    third = APPEARANCE // 3  # where the third one's begin
    fourth = torch.cat([order[third + share : APPEARANCE - share], order[share:third]])
    return (order[:share], order.flip(0)[:share], order[third : third + share], fourth)[:count]


def pack(count: Tensor, spots: Tensor) -> Tensor:
    """Numbers of subjects (B,) from 1 and spots (B, 4, 3) → layout numbers (B, `LAYOUT`)."""
    one_hot = COUNT_SCALE * F.one_hot(count - 1, MAX_SUBJECTS).to(spots.dtype)
    there = torch.arange(MAX_SUBJECTS) < count[:, None]
    scaled = (spots - spots.new_tensor(MIDDLE)) / UNIT * there[..., None]
    return torch.cat([one_hot, scaled.flatten(1)], 1)


def unpack(layout: Tensor) -> tuple[Tensor, Tensor]:
    """Layout numbers (B, `LAYOUT`) → probability of each count (B, 4), spots (B, 4, 3)."""
    shares = layout[:, :MAX_SUBJECTS].clamp(min=0) + 1e-4
    spots = layout[:, MAX_SUBJECTS:].unflatten(1, (MAX_SUBJECTS, 3)) * UNIT
    spots = spots + layout.new_tensor(MIDDLE)
    x, y, size = spots.unbind(-1)
    return shares / shares.sum(1, keepdim=True), torch.stack([x, y, size.clamp(min=8)], -1)


def write_codes(codes: Tensor, count: Tensor) -> Tensor:
    """Codes of subjects (B, 4, `APPEARANCE`) and their number (B,) → numbers (B, `APPEARANCE`)."""
    numbers = torch.zeros_like(codes[:, 0])
    for n in range(1, MAX_SUBJECTS + 1):
        rows = (count == n).nonzero()[:, 0]
        for k, own in enumerate(places(n)):
            numbers[rows[:, None], own] = codes[rows, k, : len(own)]
    return numbers


def read_codes(numbers: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Appearance numbers (B, `APPEARANCE`) → codes (B, 4, `APPEARANCE`), and who is there (B, 4).

    shares: (B, 4), probability of each count, from `unpack`. A code is the expected value over
    the counts.
    """
    codes = numbers.new_zeros(len(numbers), MAX_SUBJECTS, APPEARANCE)
    there = shares.flip(1).cumsum(1).flip(1)  # that there are more than k subjects
    for n in range(1, MAX_SUBJECTS + 1):
        for k, own in enumerate(places(n)):
            share = (shares[:, n - 1] / there[:, k].clamp(min=1e-6))[:, None]
            codes[:, k, : len(own)] += share * numbers[:, own]
    return codes, there


def subject_cosines(scene: Tensor, subjects: Tensor) -> Tensor:
    """Cosines (K,), in [-1, 1], of K single subjects with the most similar subject of a scene.

    scene: (`LAYOUT` + `APPEARANCE`,), subjects: (K, `LAYOUT` + `APPEARANCE`), the last numbers of
    embeddings. Compares only the numbers that the scene stores.
    """
    layout, numbers = scene[None].tensor_split([LAYOUT], 1)
    count = int(unpack(layout)[0].argmax()) + 1
    own = places(count)
    shown = subjects[:, LAYOUT:]
    found = [
        F.cosine_similarity(numbers[:, mine], shown[:, places(1)[0][: len(mine)]], dim=1)
        for mine in own
    ]
    return torch.stack(found).amax(0)


def surround(pictures: Tensor) -> Tensor:
    """Spots (B, 3) that enclose all of each picture on white (B, 3, 128, 128).

    An empty picture gives its middle.
    """
    there = (pictures - WHITE).abs().amax(1) > SEEN  # (B, 128, 128)
    sides = []
    for axis in (1, 2):  # of rows to look along: columns, then rows, with more than a speck
        line = there.sum(axis) > SPECK_PX
        first = line.int().argmax(1)
        last = SIZE_PX - line.flip(1).int().argmax(1)
        sides.append((first.where(line.any(1), 0), last.where(line.any(1), SIZE_PX)))
    (left, right), (top, bottom) = sides
    size = torch.maximum(right - left, bottom - top)
    return torch.stack([(left + right) / 2, (top + bottom) / 2, size.float()], 1)


def crop(pictures: Tensor, spots: Tensor) -> Tensor:
    """Frames (N, 3, 96, 96) around spots (N, 3) of pictures (N, 3, 128, 128) on white."""
    x, y, size = spots.unbind(1)
    half, middle = size * FRAME_SHARE / SIZE_PX, SIZE_PX / 2
    grid = _grid(half, (x - middle) / middle, (y - middle) / middle, len(spots), FRAME_PX)
    return WHITE + F.grid_sample(pictures - WHITE, grid, align_corners=False)


def place(frames: Tensor, spots: Tensor, there: Tensor) -> Tensor:
    """Pictures on white (B, 3, 128, 128) of frames (B, 4, 3, 96, 96) at spots (B, 4, 3).

    there: (B, 4) in [0, 1], opacity of each. Overlapping frames are averaged, because both were cut
    from the same picture.
    """
    batch, middle = len(frames), SIZE_PX / 2
    x, y, size = spots.flatten(0, 1).unbind(1)
    half = size * FRAME_SHARE / SIZE_PX
    grid = _grid(
        1 / half,
        (middle - x) / (middle * half),
        (middle - y) / (middle * half),
        4 * batch,
        SIZE_PX,
    )
    window = _window(frames)[None, None].expand(batch, MAX_SUBJECTS, 1, -1, -1)
    drawn = torch.cat([(frames - WHITE) * window, window], 2) * there[:, :, None, None, None]
    drawn = F.grid_sample(drawn.flatten(0, 1), grid, align_corners=False)
    drawn = drawn.unflatten(0, (batch, MAX_SUBJECTS)).sum(1)  # (B, 4, 128, 128)
    return WHITE + drawn[:, :3] / drawn[:, 3:].clamp(min=1)


def _grid(scale: Tensor, right: Tensor, down: Tensor, count: int, side: int) -> Tensor:
    """Sampling grid (n, side, side, 2): (u, v) → (scale u + right, scale v + down)."""
    theta = scale.new_zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = scale, scale
    theta[:, 0, 2], theta[:, 1, 2] = right, down
    return F.affine_grid(theta, [count, 1, side, side], align_corners=False)


def _window(like: Tensor) -> Tensor:
    """1 inside a frame, falling to 0 over its last pixels: (96, 96)."""
    edge = torch.arange(FRAME_PX, dtype=like.dtype, device=like.device)
    edge = (torch.minimum(edge, FRAME_PX - 1 - edge) + 1).clamp(max=4) / 4
    return edge[:, None] * edge
