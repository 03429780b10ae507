"""What the fit, the plan and the codec need to know of a signal, whatever it is."""

from typing import Any, Protocol

from numpy.typing import NDArray


class Signal(Protocol):
    """Samples, coordinates in [-1, 1]^a and values in [-1, 1]^b, with a loss and a quality measure."""

    @property
    def in_features(self) -> int:
        """Number of coordinates a."""

    @property
    def out_features(self) -> int:
        """Number of values b."""

    def __len__(self) -> int:
        """Number of samples."""

    def batch(self, index: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Samples by their numbers, int64 (n,): coords float32 (n, a) and values float32 (n, b)."""

    def loss(self, predicted: Any, values: Any) -> Any:
        """Mean squared error of (n, b) against (n, b), on NumPy arrays or torch tensors."""

    def to_header(self) -> list[Any]:
        """CBOR-ready description from which a decoder restores shape, dtype and coordinates."""

    def quality(self, decoded: NDArray[Any]) -> float:
        """PSNR in dB of a decoded signal against this one."""
