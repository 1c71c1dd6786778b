"""The linear layer by oneDNN does what PyTorch's does, and notices when its weights change."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.cpu_linear import Linear


def layer(bias: bool = True) -> Linear:
    torch.manual_seed(0)
    return Linear(24, 40, bias=bias)


def plain(module: nn.Linear, x: Tensor) -> Tensor:
    return F.linear(x, module.weight, module.bias)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(24,), (1, 24), (7, 24), (2, 300, 24), (2, 0, 24)])
def test_values_and_gradients_are_those_of_nn_linear(shape: tuple[int, ...], bias: bool) -> None:
    module = layer(bias)
    x = torch.randn(shape, requires_grad=True)
    with torch.no_grad():
        assert module(x).shape == plain(module, x).shape
        torch.testing.assert_close(module(x), plain(module, x), atol=1e-5, rtol=1e-5)
    wanted = (x, *module.parameters())
    pull = torch.randn((*shape[:-1], 40))
    ours = torch.autograd.grad(module(x), wanted, pull)
    theirs = torch.autograd.grad(plain(module, x), wanted, pull)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_frozen_weights_and_strided_rows() -> None:
    module = layer().requires_grad_(False)
    x = torch.randn(3, 9, 24, requires_grad=True)
    module(x[:, -1:]).sum().backward()
    assert x.grad is not None and not x.grad[:, :-1].any() and module.weight.grad is None
    with torch.no_grad():
        torch.testing.assert_close(module(x[:, -1:]), plain(module, x[:, -1:]), atol=1e-5, rtol=0)


def test_changed_weights_are_packed_anew() -> None:
    module, x = layer(), torch.randn(5, 24)
    with torch.no_grad():
        before = module(x)
        module.weight.mul_(2)
        module.bias.zero_()
        torch.testing.assert_close(module(x), plain(module, x), atol=1e-5, rtol=0)
        assert not torch.equal(module(x), before)
        module.load_state_dict(layer().state_dict())
        assert torch.equal(module(x), before)
        module.weight = nn.Parameter(torch.zeros(40, 24))
        assert torch.equal(module(x), module.bias.expand(5, -1))


def test_it_can_be_copied_and_kept_after_use() -> None:
    module, x = layer(), torch.randn(5, 24)
    with torch.no_grad():
        used = module(x)
        for again in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            assert torch.equal(again(x), used)
            assert again.state_dict().keys() == module.state_dict().keys() == {"weight", "bias"}


def test_what_onednn_does_not_do_is_done_by_pytorch() -> None:
    x = torch.randn(5, 24)
    with torch.no_grad():
        assert layer().to(torch.bfloat16)(x.to(torch.bfloat16)).dtype == torch.bfloat16
        assert layer().to("meta")(x.to("meta")).shape == (5, 40)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer()(x).dtype == torch.bfloat16
    with torch.inference_mode():
        made_here = layer()
        torch.testing.assert_close(made_here(x), plain(made_here, x), atol=1e-5, rtol=0)
