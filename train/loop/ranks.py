"""The processes of one training: torch distributed as `torchrun` starts it, or a single process."""

import os

import torch
import torch.distributed as dist


def start(device: torch.device) -> torch.device:
    """Join the other processes if `torchrun` started several; returns the device of this one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def stop() -> None:
    """Wait for the other processes, then leave the group."""
    if is_distributed():
        dist.barrier()
        dist.destroy_process_group()


def is_distributed() -> bool:
    """Whether there are several processes."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """Index of this process; 0 for a single one."""
    return dist.get_rank() if is_distributed() else 0


def world() -> int:
    """Number of processes."""
    return dist.get_world_size() if is_distributed() else 1


def mean(value: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over all processes, on each of them."""
    if not is_distributed():
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / world()
