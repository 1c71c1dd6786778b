"""A linear layer for CPUs: oneDNN computes its products, with packed weights where they stay.

PyTorch computes float32 products with MKL, which can take twice as long as oneDNN on processors of
other makers. Both are faster on weights that were packed beforehand: a prompt has about ten rows,
for which reading the weights is most of the work.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

ROWS = 16  # what packed weights are laid out for; others work as well
_OPERATORS = torch.ops.mkldnn
AVAILABLE = torch.backends.mkldnn.is_available() and all(
    hasattr(_OPERATORS, name) for name in ("_linear_pointwise", "_reorder_linear_weight")
)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x (…, inputs) and weight (outputs, inputs), packed or not → (…, outputs); no gradients."""
    return _OPERATORS._linear_pointwise(x, weight, bias, "none", [], "")


class Product(torch.autograd.Function):
    """`product` with gradients."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        context.save_for_backward(x, weight)
        context.biased = bias is not None
        return product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(context: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = context.saved_tensors
        wants_x, wants_weight, wants_bias = context.needs_input_grad
        rows = grad.flatten(0, -2)  # (N, outputs)
        of_x = product(grad, weight.t().contiguous()) if wants_x else None
        of_weight = None
        if wants_weight:
            of_weight = product(rows.t().contiguous(), x.flatten(0, -2).t().contiguous())
        return of_x, of_weight, rows.sum(0) if wants_bias and context.biased else None


def fits(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN can do it: float32 on a CPU that has it, and more than one dimension."""
    return (
        AVAILABLE
        and x.ndim > 1
        and x.numel() > 0
        and x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """torch.nn.functional.linear, by oneDNN where that `fits`."""
    return Product.apply(x, weight, bias) if fits(x, weight) else F.linear(x, weight, bias)


class Linear(nn.Linear):
    """nn.Linear by oneDNN where that `fits`, with packed weights where nothing is learned."""

    _packed: tuple[tuple[int, int], Tensor] | None = None  # what of, and the packed weights

    def forward(self, x: Tensor) -> Tensor:
        """x (…, inputs) → (…, outputs)."""
        # Weights made in inference mode don't tell when they change.
        learning = torch.is_grad_enabled() or self.weight.is_inference()
        if learning or not fits(x, self.weight):
            return linear(x, self.weight, self.bias)
        return product(x, self._pack(), self.bias)

    def _pack(self) -> Tensor:
        """The packed weights, packed anew when the weights have changed."""
        now = self.weight.data_ptr(), self.weight._version
        if self._packed is None or self._packed[0] != now:
            self._packed = now, _OPERATORS._reorder_linear_weight(self.weight.detach(), ROWS)
        return self._packed[1]

    def __getstate__(self) -> dict[str, Any]:
        """Without what can be packed again: that can be neither copied nor kept in a file."""
        return {name: value for name, value in self.__dict__.items() if name != "_packed"}
