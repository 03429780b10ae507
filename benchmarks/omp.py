"""Speed of `sinr_codec.planning.omp` against scikit-learn's `orthogonal_mp`, in float64 on the same cores.

    python benchmarks/omp.py [--json FILE] [--quick] [--device cuda]

384 vectors of length 128, as the hidden layers of a 3x128 network have. Both get the same vectors and the same
dictionary, as each likes it: unit float64 atoms for scikit-learn, int8 ones for us, whose conversion is timed, too.
PyTorch is loaded, as it is wherever a network was fitted before. Ours is the best of `--repeat` runs, theirs one run,
on the first vectors only where all would take minutes, and scaled to all (it codes one vector after the other).

With an accelerator, the vectors of 24 such networks on it beside: target some tenths of a second.
"""

import argparse
from pathlib import Path

import numpy as np
import torch  # noqa: F401
from sklearn.linear_model import orthogonal_mp

from sinr_codec.bench.provenance import machine, seconds, write_report
from sinr_codec.coding.dictionary import make_dictionary
from sinr_codec.planning.omp import omp

K1, VECTORS = 128, 384
CASES = [  # k2, s, vectors given to scikit-learn, the ratio that is wanted
    (8192, 48, 384, 5.0),
    (65536, 53, 16, 30.0),
]


def compare(k2: int, s: int, sample: int, repeat: int) -> dict[str, float]:
    vectors = np.random.default_rng(0).standard_normal((K1, VECTORS))
    dictionary = make_dictionary("gaussian", 0, K1, k2)
    ours, (indices, _) = seconds(lambda: omp(dictionary, vectors, s), repeat)
    unit = np.asfortranarray(dictionary / np.linalg.norm(dictionary.astype(np.float64), axis=0))
    theirs, codes = seconds(lambda: orthogonal_mp(unit, vectors[:, :sample], n_nonzero_coefs=s))
    used = np.zeros((k2, sample), bool)
    np.put_along_axis(used, indices[:, :sample], True, axis=0)
    theirs *= VECTORS / sample
    return {
        "k1": K1,
        "k2": k2,
        "s": s,
        "vectors": VECTORS,
        "vectors_given_to_scikit_learn": sample,
        "seconds": ours,
        "seconds_scikit_learn": theirs,
        "ratio": theirs / ours,
        "equal_supports": float((used == (codes != 0)).all(axis=0).mean()),
    }


def on_device(device: str, repeat: int) -> dict[str, float]:
    """The vectors of 24 networks on an accelerator; those of the first one are compared with what the CPU finds."""
    k2, s, _, _ = CASES[-1]
    vectors = np.random.default_rng(0).standard_normal((K1, 24 * VECTORS))
    dictionary = make_dictionary("gaussian", 0, K1, k2)
    omp(dictionary, vectors[:, :VECTORS], s, device=device)  # its libraries are loaded
    taken, (indices, _) = seconds(lambda: omp(dictionary, vectors, s, device=device), repeat)
    expected, _ = omp(dictionary, vectors[:, :VECTORS], s)
    same = np.sort(indices[:, :VECTORS], axis=0) == np.sort(expected, axis=0)
    return {
        "k1": K1,
        "k2": k2,
        "s": s,
        "vectors": vectors.shape[1],
        "seconds": taken,
        "equal_supports": float(same.all(axis=0).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE")
    parser.add_argument("--quick", action="store_true", help="give scikit-learn 16 vectors in every case")
    parser.add_argument("--repeat", type=int, default=3, help="runs of ours, of which the best counts")
    parser.add_argument("--device", help="a torch device other than the CPU")
    arguments = parser.parse_args()
    print(machine())
    results = []
    for k2, s, sample, wanted in CASES:
        row = compare(k2, s, min(sample, 16) if arguments.quick else sample, arguments.repeat)
        results.append(row | {"wanted": wanted})
        scaled = (
            ""
            if row["vectors_given_to_scikit_learn"] == VECTORS
            else f" (scaled from {row['vectors_given_to_scikit_learn']} vectors)"
        )
        print(
            f"k1={K1} k2={k2} s={s} n={VECTORS}: {row['seconds']:.2f} s, "
            f"scikit-learn {row['seconds_scikit_learn']:.1f} s{scaled}, "
            f"ratio {row['ratio']:.1f} (wanted {wanted:.0f}), equal supports {row['equal_supports']:.2%}"
        )
    if arguments.device:
        row = on_device(arguments.device, arguments.repeat)
        results.append(row | {"device": arguments.device})
        found = f"{row['seconds']:.2f} s, equal supports {row['equal_supports']:.2%}"
        print(f"{arguments.device}: n={row['vectors']}: {found}")
    write_report(arguments.json, "omp", results)


if __name__ == "__main__":
    main()
