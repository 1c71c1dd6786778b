"""Slots: whose numbers are where, and frames cut out and put back."""

import pytest
import torch
from torch import Tensor

from lambda_eclipse.pocket.codec import SubjectDecoder, SubjectEncoder, start_from_pca
from lambda_eclipse.pocket.embedding import (
    APPEARANCE,
    LAYOUT,
    MIDDLE,
    SIZE_PX,
    crop,
    pack,
    place,
    places,
    read_codes,
    subject_cosines,
    surround,
    unpack,
    write_codes,
)

COUNTS = torch.tensor([1, 2, 3, 4])


def spots() -> Tensor:
    return 40 + 40 * torch.rand(4, 4, 3, generator=torch.Generator().manual_seed(0))


def codes() -> Tensor:
    return torch.randn(4, 4, APPEARANCE, generator=torch.Generator().manual_seed(1))


def test_each_subject_has_its_share_of_the_numbers() -> None:
    for count in COUNTS.tolist():
        own = torch.cat(places(count))
        assert len(own) == len(own.unique()) == count * (APPEARANCE // count)
        assert own.min() >= 0 and own.max() < APPEARANCE


def test_what_all_counts_keep_of_a_subject_stands_in_the_same_place() -> None:
    for number in range(4):
        least = places(4)[number]
        for count in range(max(2, number + 1), 4):
            assert torch.equal(places(count)[number][: len(least)], least)
    assert torch.equal(places(1)[0][: APPEARANCE // 2], places(2)[0])


def test_layouts_come_back_as_they_were_packed() -> None:
    shares, found = unpack(pack(COUNTS, spots()))
    assert torch.allclose(shares, torch.eye(4), atol=1e-3)
    for row, count in enumerate(COUNTS.tolist()):
        assert torch.allclose(found[row, :count], spots()[row, :count], atol=1e-3)
        # who is not there says nothing
        assert torch.allclose(found[row, count:], torch.tensor(MIDDLE).expand(4 - count, 3))


def test_codes_come_back_as_far_as_they_are_kept() -> None:
    numbers = write_codes(codes(), COUNTS)
    back, there = read_codes(numbers, torch.eye(4))
    for row, count in enumerate(COUNTS.tolist()):
        kept = APPEARANCE // count
        assert torch.equal(back[row, :count, :kept], codes()[row, :count, :kept])
        assert not back[row, :count, kept:].any() and not back[row, count:].any()
        assert there[row].tolist() == [1.0] * count + [0.0] * (4 - count)


def test_each_of_a_scene_is_alike_to_itself_alone() -> None:
    shown, count = codes(), torch.tensor([4])
    scene = torch.cat([pack(count, spots()[:1]), write_codes(shown[:1], count)], 1)[0]
    ones = torch.ones(4, dtype=torch.int64)
    alone = torch.cat(
        [pack(ones, spots()), write_codes(shown[0][:, None].expand(-1, 4, -1), ones)], 1
    )
    assert torch.allclose(subject_cosines(scene, alone), torch.ones(4), atol=1e-5)
    others = torch.cat(
        [pack(ones, spots()), write_codes(shown[1][:, None].expand(-1, 4, -1), ones)], 1
    )
    assert (subject_cosines(scene, others) < 0.4).all()
    assert subject_cosines(scene, alone[:0]).shape == (0,)


def test_between_two_counts_a_subject_fades() -> None:
    layouts = pack(torch.tensor([1, 2]), spots()[:2])
    shares, _ = unpack(layouts.mean(0, keepdim=True))
    _, there = read_codes(torch.zeros(1, APPEARANCE), shares)
    assert there[0].tolist() == pytest.approx([1, 0.5, 0, 0], abs=1e-2)


def test_frames_are_put_back_where_they_were_cut() -> None:
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    picture = torch.stack([rows, columns, rows + columns])[None] / 128 - 1
    spot = torch.tensor([[40.0, 80.0, 62.0]])
    frames = crop(picture, spot)[:, None].expand(1, 4, 3, 96, 96)
    there = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    back = place(frames, spot[:, None].expand(1, 4, 3), there)
    inside = (..., slice(54, 106), slice(14, 66))
    assert (back[inside] - picture[inside]).abs().max() < 1e-3
    outside = back.clone()
    outside[..., 48:112, 8:72] = 1
    assert (outside == 1).all()  # white


def test_a_subject_alone_is_surrounded() -> None:
    picture = torch.ones(2, 3, SIZE_PX, SIZE_PX)
    picture[0, :, 20:60, 30:110] = -0.5
    picture[0, :, 100, 5] = -1  # a speck
    assert surround(picture)[0].tolist() == [70.0, 40.0, 80.0]
    assert surround(picture)[1].tolist() == [64.0, 64.0, 128.0]  # nothing there


def test_the_codec_starts_as_the_best_linear_code() -> None:
    torch.manual_seed(0)
    basis = torch.randn(30, 3, 96, 96)
    frames = torch.einsum("nk,kchw->nchw", torch.randn(1800, 30), basis) / 30
    smooth = torch.nn.functional.interpolate(
        torch.nn.functional.avg_pool2d(frames, 8), scale_factor=8.0
    )
    encoder, decoder = SubjectEncoder(), SubjectDecoder()
    with torch.no_grad():
        start_from_pca(encoder, decoder, smooth)
        found = encoder(smooth[:8])
        assert (decoder(found) - smooth[:8]).abs().max() < 0.02
    # the first numbers say more than later ones
    assert found.square().mean(0)[:5].mean() > found.square().mean(0)[20:30].mean()


def test_an_embedding_has_room_for_layout_and_looks() -> None:
    assert pack(COUNTS, spots()).shape == (4, LAYOUT)
