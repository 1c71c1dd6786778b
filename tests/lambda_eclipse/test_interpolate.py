"""Lines, arcs and squares between embeddings."""

import inspect
import math

import pytest
import torch

from lambda_eclipse.__main__ import _parser
from lambda_eclipse.interpolate import bilinear, grid, lerp, slerp
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.ui.explore_form import SquareForm

D = 32
T = [0.0, 0.1, 0.3, 0.5, 0.9, 1.0]


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(D), 3 * torch.randn(D)


def test_lerp_is_the_straight_line() -> None:
    a, b = pair()
    for t in T:
        torch.testing.assert_close(lerp(a, b, t), a + t * (b - a))


def test_the_way_is_straight_unless_asked_otherwise() -> None:
    """As in the published script; on the command line, in Python, at the endpoints, on the page."""
    corners = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    assert torch.equal(bilinear(corners, 0.3, 0.6), bilinear(corners, 0.3, 0.6, "lerp"))
    assert torch.equal(grid(corners, 3), grid(corners, 3, "lerp"))
    for method in (Studio.at, Studio.grid):
        assert inspect.signature(method).parameters["mode"].default == "lerp"
    assert SquareForm("subjects").mode == "lerp"
    needed = "grid --prompt p --a a=1,2 --b b=1,2 --out o.png".split()
    assert _parser().parse_args(needed).mode == "lerp"


def test_slerp_turns_steadily_and_changes_its_norm_linearly() -> None:
    a, b = pair()
    whole = torch.arccos(torch.cosine_similarity(a, b, dim=0))
    for t in T:
        c = slerp(a, b, t)
        turned = torch.arccos(torch.cosine_similarity(a, c, dim=0).clamp(-1, 1))
        assert float(turned) == pytest.approx(t * float(whole), abs=1e-3)
        assert float(c.norm()) == pytest.approx(float(torch.lerp(a.norm(), b.norm(), t)), rel=1e-5)


def test_slerp_is_the_same_from_either_end() -> None:
    a, b = pair()
    torch.testing.assert_close(slerp(a, b, 0.3), slerp(b, a, 0.7))


@pytest.mark.parametrize("scale", [1.0, 2.0, 1.0 + 1e-6])
def test_slerp_of_parallel_embeddings_is_their_line(scale: float) -> None:
    a, _ = pair()
    for t in T:
        torch.testing.assert_close(slerp(a, scale * a, t), lerp(a, scale * a, t))


def test_slerp_of_opposite_embeddings_goes_around() -> None:
    a, _ = pair()
    middle = slerp(a, -2 * a, 0.5)
    assert middle.norm() == pytest.approx(1.5 * float(a.norm()), rel=1e-5)
    assert torch.cosine_similarity(a, middle, dim=0) == pytest.approx(0.0, abs=1e-6)
    quarter = torch.cosine_similarity(a, slerp(a, -2 * a, 0.25), dim=0)
    assert quarter == pytest.approx(math.cos(math.pi / 4), abs=1e-6)


def test_slerp_with_zero_keeps_the_other_direction() -> None:
    a, _ = pair()
    zero = torch.zeros(D)
    torch.testing.assert_close(slerp(a, zero, 0.25), 0.75 * a)
    torch.testing.assert_close(slerp(zero, a, 0.25), 0.25 * a)
    assert torch.equal(slerp(zero, zero, 0.5), zero)


def test_slerp_of_batches_is_that_of_rows() -> None:
    torch.manual_seed(1)
    a, b = torch.randn(3, 2, D), torch.randn(3, 2, D)
    b[0, 0] = -a[0, 0]
    b[1, 0] = 0
    both = slerp(a, b, 0.4)
    for i in range(3):
        for j in range(2):
            torch.testing.assert_close(both[i, j], slerp(a[i, j], b[i, j], 0.4))


@pytest.mark.parametrize("mode", ["lerp", "slerp"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_corners_come_back_bit_for_bit(mode: str, dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    corners = torch.randn(4, D).to(dtype)
    points = grid(corners, 5, mode)
    assert points.shape == (5, 5, D) and points.dtype == dtype
    for corner, row, column in zip(corners, (0, 0, 4, 4), (0, 4, 0, 4), strict=True):
        assert torch.equal(points[row, column], corner)
    assert torch.equal(points[1, 3], bilinear(corners, 0.75, 0.25, mode))
    assert torch.isfinite(points).all()


def test_x_goes_right_and_y_down() -> None:
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])  # (x, y) of each
    torch.testing.assert_close(bilinear(corners, 0.25, 0.75, "lerp"), torch.tensor([0.25, 0.75]))


def test_arguments_that_do_not_fit() -> None:
    a, b = pair()
    with pytest.raises(ValueError, match="outside"):
        lerp(a, b, 1.5)
    with pytest.raises(ValueError, match="equal shapes"):
        slerp(a, b[:3], 0.5)
    with pytest.raises(ValueError, match=r"expected \(4, D\)"):
        bilinear(torch.zeros(3, D), 0.5, 0.5)
    with pytest.raises(ValueError, match='"cubic"'):
        bilinear(torch.zeros(4, D), 0.5, 0.5, "cubic")
    with pytest.raises(ValueError, match="at least 2"):
        grid(torch.zeros(4, D), 1)
