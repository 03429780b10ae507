"""The experiments, as data: which signals, which networks, which methods."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from sinr_codec.errors import InputError
from sinr_codec.types import Options

SHARED: Final = (
    *("coin-fp32", "coin", "minmax", "inric"),
    *("sinr", "sinr-hidden", "sinr-planned", "direct"),
)
"""Methods that code the same trained networks."""
_SHACIRA: Final = ("shacira", "shacira-sinr-planned", "shacira-minmax", "shacira-sinr", "shacira-sinr-hidden")
CLASSICAL: Final = (0.15, 0.3, 0.5, 1.0, 2.0)
"""Bits a pixel that classical codecs may take."""


_PUBLISHED_LEVELS: Final = {"levels": 32, "sigmas": 3.0}
"""Of COIN++'s modulations (Dupont et al. 2022, section 4.3)."""


def _from_base(training: str) -> tuple[str, ...]:
    """Methods of INRIC from a base."""
    return training, *(f"{training}-{coder}" for coder in ("direct", "sinr-planned", "minmax", "sinr", "sinr-hidden"))


@dataclass(frozen=True)
class Configuration:
    """A network size as the paper has it: (h, m) hidden layers of m neurons; or bits a position, to be trained for.

    Or a base of COIN++ with d `latents`, for a `patch` by axis (empty for whole signals, None for the usual one), whose
    learning begins with the base of the configuration `start`, with more settings of `learning.learn`.
    """

    depth: int = 0
    width: int = 0
    rate: float | None = None
    latents: int | None = None
    patch: tuple[int, ...] | None = None
    start: str | None = None
    learning: Options = field(default_factory=dict)
    suffix: str = ""

    @property
    def name(self) -> str:
        """Such as "3x64", "0.3bpp" or "d64"."""
        if self.latents is not None:
            return f"d{self.latents}{self.suffix}"
        return f"{self.depth}x{self.width}" if self.rate is None else f"{self.rate:g}bpp"

    def network(self) -> Options:
        """What `learning.learn` is told of the network of a base."""
        if self.latents is None:
            return {"depth": self.depth, "width": self.width}
        return {"latents": self.latents} | ({} if self.patch is None else {"patch": self.patch})


@dataclass(frozen=True)
class Item:
    """A signal: a file under the data folder, how to read it, and its network where it is not the experiment's."""

    name: str
    path: str
    kind: str | None = None
    options: Options = field(default_factory=dict)
    configuration: Configuration | None = None


@dataclass(frozen=True)
class Experiment:
    """Signals x networks x methods.

    Attributes
    ----------
    name, title
        Of the command, and in words.
    configurations, methods
        Networks, and methods by name.
    fit
        Settings of `fit.FitConfig` for networks of pictures; other kinds of signal have those of the preset balanced.
    classical
        Bits a pixel at which classical codecs are measured.
    items
        Signals; none for the Kodak pictures.
    pictures
        The Kodak pictures and the items.
    learning
        Settings of `learning.learn`, where methods begin from bases: those are learned from the first half of the
        pictures, and the second half is tested. None where there are no bases.
    """

    name: str
    title: str
    configurations: tuple[Configuration, ...]
    methods: tuple[str, ...]
    fit: Options | None = None
    classical: tuple[float, ...] = ()
    items: tuple[Item, ...] = ()
    pictures: bool = False
    learning: Options | None = None


_FROM_BASES: Final = tuple(Configuration(3, width) for width in (32, 64, 96, 128))

#: The paper gives no settings; these reach in a minute what Adam reaches in several.
FIT: Final = {"optimizer": "soap", "lr": 1e-3, "steps": 2000, "batch": 4096}

_SHAPES: Final = (
    Item("thai", "mesh/thai_statue_from_bacon_385.ply", "shape"),
    Item("lucy", "mesh/lucy_100k.ply", "shape"),
    Item("dragon", "mesh/dragon_100k_photon.obj", "shape"),
    Item("bunny", "mesh/bunny_hr_odedstein.obj", "shape"),
)

_LEGO: Final = Item("lego", "nerf/lego_100.npz", "radiance")

EXPERIMENTS: Final = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "c1",
            "C1: pictures by networks of growing width",
            (Configuration(2, 32), Configuration(3, 64), Configuration(3, 128)),
            SHARED,
            FIT,
            CLASSICAL,
        ),
        Experiment(
            "encoding",
            "INRIC with 7 and 8 bits, with and without positional encoding and L1, and SINR on top of it",
            (Configuration(2, 32), Configuration(3, 64), Configuration(3, 128)),
            ("minmax", "inric", "inric-7", "inric-pe-minmax", "inric-pe", "inric-pe-sinr", "inric-pe-sinr-hidden"),
            FIT,
        ),
        Experiment(
            "c2",
            "C2: pictures by networks of growing depth",
            (Configuration(3, 64), Configuration(5, 64), Configuration(7, 64)),
            SHARED,
            FIT,
        ),
        Experiment(
            "refinement",
            "With and without training the code on the signal, or training for it, at equal bytes",
            (Configuration(3, 64),),
            (
                "minmax",
                *(
                    f"{name}-{bits}"
                    for name in ("direct-refined", "sinr-refined", "rated", "sinr-trained")
                    for bits in (4, 5, 6)
                ),
            ),
            FIT,
        ),
        Experiment(
            "coding",
            "Coders of weights at an equal loss of 0.1 dB",
            (Configuration(3, 64), Configuration(3, 128)),
            ("minmax", "sinr", "sinr-planned", "direct", "trellis", "rounded", "rounded-best", "refitted"),
            FIT,
        ),
        Experiment(
            "ablations",
            "L1, pruning, learned dictionaries, flattening, seeds, kinds of dictionary, bits a value",
            (Configuration(3, 64),),
            (
                "minmax",
                "direct",
                "sinr",
                "sinr-scalar",
                "sinr-hidden",
                *(f"l1-{weight}-{coder}" for weight in ("1e-6", "1e-5", "1e-4") for coder in ("minmax", "direct")),
                *(f"prune-{share}-{coder}" for share in (30, 50, 70) for coder in ("minmax", "direct")),
                *(f"prune-rows-{share}-{coder}" for share in (10, 25, 50) for coder in ("minmax", "direct")),
                *(f"dictionary-{k2}" for k2 in (64, 128, 256)),
                *(f"pca-{share}" for share in (50, 75, 90)),
                *(f"sinr-{name}" for name in ("flat", "sign", "hadamard", "seed-1", "seed-2", "seed-3")),
                *(f"sinr-{bits}bit" for bits in (6, 8, 10, 12)),
                *(f"sinr-k2-{k2}" for k2 in (1024, 8192)),
            ),
            FIT,
        ),
        Experiment(
            "c3",
            "C3: INRIC from a meta-learned base, and SINR on its differences",
            _FROM_BASES,
            ("minmax", "inric", *_from_base("inric-meta")),
            FIT,
            learning={"steps": 2000},
        ),
        Experiment(
            "c4",
            "C4: the same with a positional encoding",
            _FROM_BASES,
            ("inric-pe-minmax", "inric-pe", *_from_base("inric-meta-pe")),
            FIT,
            learning={"steps": 2000},
        ),
        Experiment(
            "c5",
            "C5: COIN++, and SINR on its modulations",
            (
                Configuration(latents=64),
                *(Configuration(latents=d, start="d64", learning={"lr": 1e-4}) for d in (16, 32, 96)),
                Configuration(latents=64, start="d64", learning={"steps": 0, **_PUBLISHED_LEVELS}, suffix="-5bit"),
                Configuration(latents=64, patch=(), learning={"tasks": 4}, suffix="-whole"),
            ),
            (
                *("coinpp", "coinpp-direct", "coinpp-sinr-planned", "coinpp-dct-planned"),
                *("coinpp-minmax", "coinpp-sinr", "coinpp-dct"),
            ),
            {"steps": 10},
            learning={"steps": 2000, "tasks": 16},
        ),
        Experiment(
            "shacira",
            "Hash grids of latents, and SINR on their network",
            tuple(Configuration(rate=rate) for rate in (0.1, 0.2, 0.3, 0.5)),
            _SHACIRA,
            classical=CLASSICAL,
        ),
        Experiment(
            "shacira-radiance",
            "A radiance field as a hash grid of latents",
            (Configuration(rate=0.12),),
            _SHACIRA,
            items=(_LEGO,),
        ),
        Experiment(
            "occupancy",
            "Occupancy fields of Stanford's shapes",
            (Configuration(3, 128),),
            (*SHARED, "sinr-scalar"),
            items=_SHAPES,
        ),
        Experiment(
            "radiance",
            "A radiance field: lego",
            (Configuration(3, 64),),
            (*(name for name in SHARED if name != "inric"), "sinr-scalar"),
            items=(_LEGO,),
        ),
    )
}

#: Experiments that measure trained weights and make no files: `bench.sparsity` and `bench.weights`.
SPARSITY: Final = Experiment(
    "sparsity",
    "How many atoms a vector needs",
    (Configuration(2, 32), Configuration(3, 64), Configuration(3, 96), Configuration(3, 128)),
    (),
    FIT,
)
WEIGHTS: Final = Experiment(
    "weights",
    "Distributions of trained weights",
    (Configuration(3, 64),),
    (),
    FIT,
    items=(
        *(replace(item, configuration=Configuration(3, 128)) for item in _SHAPES),
        _LEGO,
        Item("bach", "audio/gt_bach.wav", "audio", configuration=Configuration(3, 64)),
        Item("mri", "volume/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz", "volume"),
        Item("sst", "geo/tos_O1_2001-2002.nc", "dataset"),
        Item("carphone", "video/carphone_rgb_32frames.npz", "video"),
    ),
    pictures=True,
)


def experiment_named(name: str) -> Experiment:
    """Look an experiment with files up; `InputError` names the ones there are."""
    if name not in EXPERIMENTS:
        raise InputError(f"experiment: expected one of {', '.join(EXPERIMENTS)}, got {name!r}")
    return EXPERIMENTS[name]


def items_of(experiment: Experiment, data: Path, numbers: range | None) -> list[Item]:
    """The signals of an experiment that are in a folder.

    Kodak's pictures are found as `kodim01.png` ... in the folder itself or in its `kodak`, any other folder of pictures
    serves as well. `numbers` chooses among them, counted from 1.

    Raises
    ------
    InputError
        There is none.
    """
    if not data.is_dir():
        raise InputError(f"{data}: no such folder; name one with the signals of the experiment by --data")
    items = list(experiment.items)
    if experiment.pictures or not items:
        items = [*pictures_in(data), *items]
    there = [item for item in items if (data / item.path).exists()]
    if there and numbers is not None and numbers[-1] > len(there):
        raise InputError(f"images: {data} has {len(there)} of the signals wanted, got {numbers[0]}-{numbers[-1]}")
    if numbers is not None:
        there = [item for number, item in enumerate(there, 1) if number in numbers]
    elif experiment.learning is not None:
        there = there[len(there) // 2 :]
    if not there:
        wanted = ", ".join(item.path for item in experiment.items) or "pictures such as kodim01.png"
        raise InputError(f"{data}: found none of the signals wanted; expected {wanted}")
    return there


def learned_from(data: Path, tested: Collection[str]) -> list[Item]:
    """The first half of the pictures in a folder, without those that are tested: what bases are learned from."""
    pictures = list(pictures_in(data))
    return [item for item in pictures[: len(pictures) // 2] if item.name not in tested]


def pictures_in(data: Path) -> Iterator[Item]:
    """The pictures of a folder, or of its folder `kodak`, in order."""
    folder = data / "kodak" if (data / "kodak").is_dir() else data
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (".png", ".jpg", ".webp", ".tif", ".ppm") and not path.name.startswith("."):
            yield Item(path.stem, str(path.relative_to(data)), "image")


def parse_numbers(text: str) -> range:
    """A range such as "1-4" or "3", counted from 1, both ends included."""
    first, _, last = text.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal() and 1 <= int(first) <= int(last or first)):
        raise InputError(f"images: expected a range such as 1-4, got {text!r}")
    return range(int(first), int(last or first) + 1)


def parse_scale(text: str) -> Fraction:
    """A scale of at most 1, such as "1/4" or "0.5"."""
    try:
        scale = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"scale: expected a number such as 1/4, got {text!r}") from error
    if not 0 < scale <= 1:
        raise InputError(f"scale: expected a number above 0 and at most 1, such as 1/4, got {text!r}")
    return scale
