"""Devices for computing: the CPU, or an accelerator by its name in PyTorch."""

from typing import Final

from sinr_codec.errors import InputError, MissingExtraError, quoted

CPU: Final = "cpu"


def is_cpu(device: str) -> bool:
    """Whether a device is the CPU, on which NumPy computes wherever nothing is fitted."""
    return device in (CPU, f"{CPU}:0")


def check_device(device: str) -> None:
    """Check that a device exists and computes; the CPU always does, with or without PyTorch.

    Raises
    ------
    InputError
        No such device, or PyTorch cannot compute on it.
    MissingExtraError
        An accelerator, while PyTorch is not installed.
    """
    if is_cpu(device):
        return
    if not isinstance(device, str):
        raise InputError(f"device: expected the name of one, such as {CPU} or cuda, got {quoted(device)}")
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(f"device: {quoted(device)} needs torch: pip install 'sinr-codec[fit]'") from error
    try:
        torch.ones(1, device=device).item()
    except Exception as error:  # each backend has its own way to say no: RuntimeError, AssertionError, ImportError
        reason = str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
        remedy = f"take {CPU}, or cuda where PyTorch is built for it"
        raise InputError(f"device: {quoted(device)} cannot be used ({reason}); {remedy}") from error


def has_float64(device: str) -> bool:
    """Whether a device is an accelerator with float64; Apple's have none.

    Raises
    ------
    InputError
        The device cannot be used.
    """
    if is_cpu(device):
        return False
    check_device(device)
    import torch

    try:
        return torch.ones(1, dtype=torch.float64, device=device).item() == 1
    except (RuntimeError, TypeError):
        return False
