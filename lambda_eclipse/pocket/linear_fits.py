"""Linear fits that networks start from: ridge regressions and principal components."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def ridge(x: Tensor, y: Tensor, strength: float, centred: bool = True) -> tuple[Tensor, Tensor]:
    """Weight (E, D) and bias (E,) of the ridge regression of y (N, E) on x (N, D)."""
    x_mean = x.mean(0) if centred else torch.zeros(x.shape[1])
    y_mean = y.mean(0) if centred else torch.zeros(y.shape[1])
    gram = (x - x_mean).T @ (x - x_mean) + strength * torch.eye(x.shape[1])
    weight = torch.linalg.solve(gram, (x - x_mean).T @ (y - y_mean)).T
    return weight, y_mean - weight @ x_mean


def principal(rows: Tensor, count: int, whitening: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (D,), directions (D, count) and scales (count,) of the principal components of rows.

    Components times their scales have mean square 1. whitening: 0 keeps their variances, 1 makes
    them equal; 1/2 keeps the important ones larger without drowning the others.
    """
    mean = rows.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov((rows - mean).T))
    values, basis = values.flip(0)[:count].clamp(min=1e-6), vectors.flip(1)[:, :count]
    scale = values.pow(-whitening / 2)
    return mean, basis, scale / (values * scale**2).mean().sqrt()


@torch.no_grad()
def principal_patches(
    encode: nn.Conv2d, pictures: Tensor, decode: nn.Conv2d | None = None, whitening: float = 0.5
) -> None:
    """Sets a patch-wise convolution to the principal components of pictures (B, C, H, W).

    `decode`: the 1 × 1 convolution that reverses it, to C · patch² channels.
    """
    patch, channels = encode.stride[0], encode.out_channels
    flat = F.unfold(pictures, patch, stride=patch).transpose(1, 2).flatten(0, 1)  # (N, C patch²)
    assert encode.bias is not None
    mean, basis, scale = principal(flat, channels, whitening)
    encode.weight.copy_((basis * scale).T.reshape(encode.weight.shape))
    encode.bias.copy_(-encode.weight.flatten(1) @ mean)
    if decode is not None and decode.bias is not None:
        decode.weight.copy_((basis / scale)[..., None, None])
        decode.bias.copy_(mean)
