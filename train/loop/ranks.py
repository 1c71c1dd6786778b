"""The processes of one training: torch distributed as `torchrun` starts it, or a single process."""

import os

import torch
import torch.distributed as dist


def start(device: torch.device) -> torch.device:
    """Joins the other processes where `torchrun` started several; returns this one's device."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def stop() -> None:
    """Waits for the other processes and leaves them."""
    if is_distributed():
        dist.barrier()
        dist.destroy_process_group()


def is_distributed() -> bool:
    """Whether there are process groups at all."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Number of this process, 0 for a single one."""
    return dist.get_rank() if is_distributed() else 0


def world() -> int:
    """How many processes there are."""
    return dist.get_world_size() if is_distributed() else 1


def mean(value: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over all processes, on each of them."""
    if not is_distributed():
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / world()
