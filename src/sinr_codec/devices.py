"""Where numbers are computed: the CPU, or an accelerator by its name in PyTorch."""

from typing import Final

from sinr_codec.errors import InputError, MissingExtraError

CPU: Final = "cpu"


def is_cpu(device: str) -> bool:
    """Whether a device is the CPU, whose numbers NumPy computes where nothing is fitted."""
    return device in (CPU, f"{CPU}:0")


def check_device(device: str) -> None:
    """Raise `InputError` for a device that does not exist or on which PyTorch cannot compute a number.

    The CPU is one, also where PyTorch is not installed (`MissingExtraError` for others).
    """
    if is_cpu(device):
        return
    if not isinstance(device, str):
        raise InputError(f"device: expected the name of one, such as {CPU} or cuda, got {device!r}")
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(f"device: {device!r} needs torch: pip install 'sinr-codec[fit]'") from error
    try:
        torch.ones(1, device=device).item()
    except Exception as error:  # each backend has its own way to say no: RuntimeError, AssertionError, ImportError
        reason = str(error).partition("\n")[0].partition(". ")[0].rstrip(".")
        remedy = f"take {CPU}, or cuda where PyTorch is built for it"
        raise InputError(f"device: {device!r} cannot be used ({reason}); {remedy}") from error


def has_float64(device: str) -> bool:
    """Whether an accelerator computes in float64; Apple's do not, and the CPU is none.

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
