"""Batched orthogonal matching pursuit without a Gram matrix (paper, section 4.2).

    Tropp, Gilbert, "Signal recovery from random measurements via orthogonal matching pursuit", IEEE Trans.
    Inf. Theory 53(12), 2007.

All vectors advance together, one atom a step. Nearly all work is the product of the dictionary with the residuals,
which is computed at low precision, with a bound on its rounding (`search`). Everything else is float64.

With few vectors and a large dictionary that product is bound by the bandwidth of memory. Then several steps are guessed
from the atoms that were near the maximum last time, and one product verifies them all. A wrong guess is undone, so that
the result is the same.

The same code runs on NumPy arrays and, for an accelerator, on torch tensors.
"""

from typing import Final

import numpy as np
from array_api_compat import array_namespace
from array_api_compat import device as array_device
from numpy.typing import ArrayLike

from sinr_codec.devices import CPU, has_float64
from sinr_codec.errors import InputError, quoted
from sinr_codec.planning.search import DeviceSearch, Search, at_unit, gather
from sinr_codec.tiles import cores, map_tiles
from sinr_codec.types import AnyArray, Array, Floats, Ints

_GUESS_CORRELATION: Final = 1e-3  # a guess below is useless, and its atom might depend on those already taken
_BATCH: Final = 512  # most vectors that advance together
_SHARED: Final = 64  # vectors a core from which it pays to use several
_WORK: Final = 1 << 25  # float64 entries (256 MiB) that the orthonormal bases of a batch may take
_DEVICE_WORK: Final = 1 << 27  # the same on an accelerator (1 GiB)
_DEVICE_PRODUCTS: Final = 1 << 28  # float32 products (1 GiB) of a batch there
_WELL_CONDITIONED: Final = 0.7  # an atom that keeps this much of its length needs no second orthogonalisation


def omp(A: ArrayLike, W: ArrayLike, s: int, tol: float | None = None, device: str = CPU) -> tuple[Ints, Floats]:
    """Approximate each column w of W by s columns of A, selected greedily: w ~ A[:, indices] @ values.

    Parameters
    ----------
    A : real array (k1, k2)
        Dictionary; atoms need not have unit norm. A zero atom is never selected. Fastest in Fortran order.
    W : real array (k1, n)
        Vectors to code, any scale.
    s : int
        Atoms a vector, 0 <= s <= min(k1, k2).
    tol : float, optional
        A vector also stops when its residual's norm is at most `tol` times its own norm.
    device : str
        Device: "cpu", or a torch device such as "cuda". The CPU replaces one without float64 ("mps").

    Returns
    -------
    indices : int64 array (s, n)
        Atoms in the order of selection, so that the first t rows are the result for s = t. A vector that
        stops early (tolerance reached, or no atom reduces the residual beyond rounding) has -1 in the rest.
    values : float64 array (s, n)
        Their least-squares coefficients; 0 where the index is -1.

    Raises
    ------
    InputError
        Shapes that do not fit, entries that are not finite real numbers, s or tol out of range, a device that cannot
        be used.
    """
    atoms, vectors = _atoms_as_rows(A), _vectors(W)
    k2, k1 = atoms.shape
    if not isinstance(s, int | np.integer):
        raise InputError(f"s: expected a whole number of atoms, got {quoted(s)}")
    if len(vectors) != k1:
        raise InputError(f"W: vectors of length {len(vectors)}, expected {k1} as in A")
    if not 0 <= s <= min(k1, k2):
        raise InputError(f"s: {s} atoms, expected 0 to {min(k1, k2)} for a dictionary of {k1} x {k2}")
    if tol is not None and not 0 <= tol < np.inf:
        raise InputError(f"tol: {tol}, expected a number >= 0")
    n = vectors.shape[1]
    indices = np.full((s, n), -1, np.int64)
    values = np.zeros((s, n))
    if s == 0 or n == 0:
        return indices, values
    search: Search | DeviceSearch
    if has_float64(device):
        threads = 1
        batch = max(1, min(_DEVICE_WORK // (s * (k1 + s)), _DEVICE_PRODUCTS // k2))
        search = DeviceSearch(atoms, device)
    else:
        # Batches side by side on all cores if there are enough vectors: products on one core need no barriers.
        threads = cores() if n >= _SHARED * cores() else 1
        batch = max(1, min(_BATCH, _WORK // (s * (k1 + s)), -(-n // threads)))
        search = Search(atoms, batch)
    parts = [slice(first, first + batch) for first in range(0, n, batch)]

    def pursue(part: slice) -> None:
        indices[:, part], values[:, part] = _pursue(search, vectors[:, part], s, tol or 0.0)

    with search.alone(threads > 1):
        for _ in map_tiles(pursue, parts, threads):
            pass
    return indices, values


def solve(A: ArrayLike, W: ArrayLike, indices: ArrayLike, step: float | None = None) -> Floats:
    """Least-squares coefficients of W on given atoms; one run of `omp` at a large s serves every smaller s.

    With a step they are multiples of it, by Babai's nearest plane (1986): rounded one after the other, where each
    compensates the errors of those before.

    Parameters
    ----------
    A : real array (k1, k2)
        Dictionary.
    W : real array (k1, n)
        Vectors.
    indices : integers (s, n)
        Atoms of each column, without repeats; -1 marks unused rows.
    step : float > 0, optional
        Step of a quantiser of the coefficients.

    Returns
    -------
    float64 array (s, n), 0 where the index is -1.

    Raises
    ------
    InputError
        Shapes that do not fit, indices out of range, more atoms than k1, a step that is not positive.
    """
    atoms, vectors = _atoms_as_rows(A), _vectors(W)
    selected = np.asarray(indices)
    k2, k1 = atoms.shape
    if selected.ndim != 2 or selected.dtype.kind not in "iu" or selected.shape[1:] != vectors.shape[1:]:
        raise InputError(f"indices: {selected.dtype} {selected.shape}, expected integers (s, {vectors.shape[1]})")
    s, n = selected.shape
    if step is not None and not 0 < step < np.inf:
        raise InputError(f"step: {step}, expected a number > 0")
    if len(vectors) != k1 or s > k1:
        raise InputError(f"A, W, indices: {k1} rows, {len(vectors)} rows and {s} atoms do not fit together")
    if selected.size and not -1 <= selected.min() <= selected.max() < k2:
        raise InputError(f"indices: {selected.min()} to {selected.max()}, expected -1 to {k2 - 1}")
    values = np.zeros((s, n))
    if selected.size == 0:
        return values
    # Unused rows go last, so that they leave the triangular system of the others alone.
    order = np.argsort(selected < 0, axis=0, kind="stable")
    packed = np.take_along_axis(selected.astype(np.int64), order, axis=0)
    batch = max(1, _WORK // (s * (k1 + s)))
    for first in range(0, n, batch):
        part = slice(first, first + batch)
        members = gather(atoms, packed[:, part].T)
        basis, triangle = np.linalg.qr(members.transpose(0, 2, 1))
        unused = packed[:, part].T < 0
        np.einsum("mii->mi", triangle)[unused] = 1.0
        basis = np.where(unused[:, :, None], 0.0, basis.transpose(0, 2, 1))
        if step is None:
            found = _least_squares(members, vectors[:, part].T, basis, triangle)
        else:
            found = step * _nearest_plane(vectors[:, part].T / step, basis, triangle)
        np.put_along_axis(values[:, part], order[:, part], found.T, axis=0)
    return values


def _atoms_as_rows(A: ArrayLike) -> Array:
    matrix = np.asarray(A)
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf" or 0 in matrix.shape:
        raise InputError(f"A: {matrix.dtype} {matrix.shape}, expected a real matrix (k1, k2), not empty")
    if matrix.dtype.kind == "f" and not np.isfinite(matrix).all():
        raise InputError("A: has entries that are not finite")
    return np.ascontiguousarray(matrix.T)


def _vectors(W: ArrayLike) -> Floats:
    matrix = np.asarray(W)
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
        raise InputError(f"W: {matrix.dtype} {matrix.shape}, expected a real matrix (k1, n)")
    vectors = matrix.astype(np.float64)
    if not np.isfinite(vectors).all():
        raise InputError("W: has entries that are not finite")
    return vectors


def _least_squares(members: AnyArray, vectors: AnyArray, basis: AnyArray, triangle: AnyArray) -> AnyArray:
    """Coefficients (m, t) of `vectors` (m, k1) on `members` (m, t, k1).

    `members` = triangle^T basis, with orthonormal rows in `basis` (m, t, k1) and `triangle` (m, t, t) upper
    triangular. One step of iterative refinement takes the rounding of the factors out.
    """
    xp = array_namespace(vectors)

    def solved(right: AnyArray) -> AnyArray:
        return xp.linalg.solve(triangle, basis @ right[:, :, None])[:, :, 0]

    try:
        values = solved(vectors)
        return values + solved(vectors - (values[:, None, :] @ members)[:, 0])
    except np.linalg.LinAlgError:
        raise InputError("indices: the atoms of a vector are linearly dependent") from None


def _nearest_plane(vectors: Floats, basis: Floats, triangle: Floats) -> Floats:
    """Integer coefficients (m, t) of `vectors` (m, k1) on triangle^T basis, as `_least_squares` has them."""
    right = (basis @ vectors[:, :, None])[:, :, 0]
    levels = np.zeros_like(right)
    for i in reversed(range(right.shape[1])):
        others = (triangle[:, i, i + 1 :] * levels[:, i + 1 :]).sum(1)
        levels[:, i] = np.rint((right[:, i] - others) / triangle[:, i, i])
    return levels


class _State:
    """Vectors that advance together, after t atoms each; all arrays, of NumPy or torch, have one row a vector."""

    def __init__(self, vectors: AnyArray, s: int, tol: float) -> None:
        xp = array_namespace(vectors)
        (m, k1), device = vectors.shape, array_device(vectors)
        norms = xp.linalg.vector_norm(vectors, axis=1)
        self.columns = xp.arange(m, device=device)
        self.vectors = vectors
        self.residuals = xp.asarray(vectors, copy=True)
        # Rounding error in a residual that should be zero, or orthogonal to an atom.
        self.noise = 8 * (k1 + 16) * float(np.finfo(np.float64).eps) * norms
        self.goal = xp.maximum(tol * norms, self.noise)
        self.indices = xp.full((m, s), -1, dtype=xp.int64, device=device)
        self.basis = xp.zeros((m, s, k1), dtype=xp.float64, device=device)
        self.triangle = xp.zeros((m, s, s), dtype=xp.float64, device=device)
        self.candidates = xp.empty((m, 0), dtype=xp.int64, device=device)  # atoms to guess from

    def __len__(self) -> int:
        return len(self.columns)

    def subset(self, rows: AnyArray) -> "_State":
        part = object.__new__(_State)
        part.__dict__.update({name: array[rows] for name, array in self.__dict__.items()})
        return part

    def append(self, t: int, selected: AnyArray, unit_atoms: AnyArray) -> None:
        """Take atom t: extend the orthonormal basis by Gram-Schmidt, then project the residual.

        To take steps back, restore `residuals` and append at the earlier t again.
        """
        norm = array_namespace(unit_atoms).linalg.vector_norm
        done = self.basis[:, :t]
        rest = unit_atoms[:, :, None]
        along = done @ rest
        rest = rest - done.mT @ along
        length = norm(rest, axis=1, keepdims=True)
        if (length < _WELL_CONDITIONED).any():
            # Twice is enough (Kahan, Parlett): a second pass restores orthogonality to rounding.
            again = done @ rest
            along += again
            rest -= done.mT @ again
            length = norm(rest, axis=1, keepdims=True)
        direction = (rest / length)[:, :, 0]
        self.indices[:, t] = selected
        self.basis[:, t] = direction
        self.triangle[:, :t, t] = along[:, :, 0]
        self.triangle[:, t, t] = length[:, 0, 0]
        along_direction = (self.residuals * direction).sum(axis=1, keepdims=True)
        self.residuals = self.residuals - along_direction * direction

    def finished(self) -> AnyArray:
        return array_namespace(self.residuals).linalg.vector_norm(self.residuals, axis=1) <= self.goal

    def values(self, search: "Search | DeviceSearch", t: int) -> AnyArray:
        """Least-squares coefficients (m, t) of the first t atoms."""
        selected = self.indices[:, :t]
        triangle = self.triangle[:, :t, :t] / search.inverse_norms[selected][:, None, :]
        return _least_squares(gather(search.atoms, selected), self.vectors, self.basis[:, :t], triangle)


def _guess(state: _State, search: Search, t: int, steps: int) -> tuple[list[Ints], list[Floats]]:
    """Advance `state` from t by up to `steps` steps, choosing among its candidates alone.

    Returns the atoms (m,) of each step, and the residuals (m, k1) before each step and after the last. It stops
    short of a step that finishes a vector.
    """
    guesses: list[Ints] = []
    residuals = [state.residuals]
    if steps <= 0:
        return guesses, residuals
    rows = search.unit[state.candidates]
    for _ in range(steps):
        correlations = np.abs(rows @ at_unit(state.residuals)[:, :, None])[:, :, 0]
        place = correlations.argmax(axis=1)[:, None]
        if np.take_along_axis(correlations, place, axis=1).min() < _GUESS_CORRELATION:
            break
        selected = np.take_along_axis(state.candidates, place, axis=1)[:, 0]
        state.append(t + len(guesses), selected, search.unit_atoms(selected))
        if state.finished().any():
            break
        guesses.append(selected)
        residuals.append(state.residuals)
    return guesses, residuals


def _pursue(search: Search | DeviceSearch, W: Floats, s: int, tol: float) -> tuple[Ints, Floats]:
    """`omp` for one batch of vectors."""
    n = W.shape[1]
    indices = np.full((s, n), -1, np.int64)
    values = np.zeros((s, n))
    # Powers of two change no mantissa: the result does not depend on the scale of W, however small.
    exponents = np.frexp(np.abs(W).max(axis=0))[1]
    state = _State(search.take(np.ascontiguousarray(np.ldexp(W, -exponents).T)), s, tol)
    xp = array_namespace(state.vectors)

    def retire(rows: AnyArray, t: int) -> _State:
        """Store the results of the vectors that stop after t atoms; the others remain."""
        if not rows.any():
            return state
        done = state.subset(rows)
        if t:
            columns = _on_host(done.columns)
            indices[:t, columns] = _on_host(done.indices[:, :t]).T
            values[:t, columns] = np.ldexp(_on_host(done.values(search, t)).T, exponents[columns])
        return state.subset(~rows)

    t = steps = 0
    while t < s:
        state = retire(state.finished(), t)
        m = len(state)
        if not m:
            break
        guesses: list[AnyArray] = []
        residuals = [state.residuals]
        if steps and isinstance(search, Search):
            guesses, residuals = _guess(state, search, t, min(steps, s - t - 1))
        best, correlation, maxima = search.best(xp.concat(residuals))
        best, correlation = best.reshape(-1, m), correlation.reshape(-1, m)
        # Guesses count as far as they are right; the step after them is known as well.
        right = 0
        while right < len(guesses) and (
            (best[right] == guesses[right]).all() and (correlation[right] > state.noise).all()
        ):
            right += 1
        t += right
        state.residuals = residuals[right]
        steps = min(search.most_steps - 1, 2 * right + 1)
        if steps and isinstance(search, Search):
            state.candidates = search.candidates(maxima[right * m : (right + 1) * m])
        finished = correlation[right] <= state.noise
        state, selected = retire(finished, t), best[right][~finished]
        if not len(state):
            break
        state.append(t, selected, search.unit_atoms(selected))
        t += 1
    retire(xp.ones(len(state), dtype=xp.bool, device=array_device(state.vectors)), s)
    return indices, values


def _on_host(array: AnyArray) -> Array:
    return np.asarray(array if isinstance(array, np.ndarray) else array.cpu())
