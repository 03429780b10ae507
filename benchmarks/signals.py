"""Every kind of signal against the usual codec of its field: bytes, quality and seconds, as JSON and as a page.

    python benchmarks/signals.py --data DIR [--out results/signals.json] [--only NAME ...] [--resume]
                                 [--preset P] [--seconds T] [--work DIR]
    python benchmarks/signals.py --out results/signals.json --table docs/guide/comparison.md      # the page alone

For each signal: `encode` writes a file, `decode` reads it, `verify` measures what was decoded; then the usual codecs
are searched for their best quality in as many bytes, and for their fewest bytes at that quality, measured in the same
way. The report is written after every signal, files and fits stay in the work folder, so that a run that is stopped
goes on where it was with --resume.
"""

import argparse
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from sinr_codec import codec
from sinr_codec.bench import usual_codecs
from sinr_codec.bench.lossless import lossless_bytes
from sinr_codec.bench.provenance import commit, machine, write_report
from sinr_codec.bench.usual_codecs import LOSSLESS, Codec
from sinr_codec.container import DEFAULT_LIMITS
from sinr_codec.foreign.checkpoints import read_checkpoint
from sinr_codec.foreign.compress import compress_report
from sinr_codec.foreign.decompress import decompress
from sinr_codec.foreign.fidelity import compare_networks
from sinr_codec.sections import load_source
from sinr_codec.signals import registry

Row = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """What a row has to reach: dB, IoU, bytes, and names of codecs whose quality at equal bytes is less."""

    db: float | None = None
    iou: float | None = None
    bytes: int | None = None
    above: tuple[str, ...] = ()

    def text(self) -> str:
        """In words."""
        parts = [
            f"at least {self.db:g} dB" if self.db is not None else "",
            f"IoU at least {self.iou:g}" if self.iou is not None else "",
            f"at most {self.bytes:,} bytes" if self.bytes is not None else "",
            f"above {' and '.join(self.above)} at equal bytes" if self.above else "",
        ]
        return ", ".join(filter(None, parts))

    def met(self, row: Row) -> bool:
        """Whether a row reaches it; a codec that fits nothing in so many bytes is beaten."""
        rivals = [row["usual"].get(name, {}).get("at_bytes") for name in self.above]
        return (
            (self.db is None or row["db"] >= self.db)
            and (self.iou is None or row["figures"]["iou"] >= self.iou)
            and (self.bytes is None or row["bytes"] <= self.bytes)
            and all(point is None or row["db"] > point["db"] for point in rivals)
        )


@dataclass(frozen=True)
class Entry:
    """A signal of the comparison.

    Attributes
    ----------
    name, path
        What --only calls it, and the file under --data.
    title
        What the page calls it.
    options
        Options of `encode`.
    load
        Options of the kind's `load`, which `encode` takes too.
    fraction
        The size asked for, as a part of the source's bytes.
    goal
        What it has to reach.
    """

    name: str
    path: str
    title: str
    options: Mapping[str, Any] = field(default_factory=dict)
    load: Mapping[str, Any] = field(default_factory=dict)
    fraction: int | None = None
    goal: Goal | None = None


_SOLID = {"resolution": 256}
_CLASSIC = ("zfp", "SZ3")
ENTRIES = (
    Entry("coffee", "images/coffee.png", "coffee, 600 x 400"),
    Entry("kodim03", "kodak/kodim03.png", "Kodak 3, 768 x 512"),
    Entry(
        "bach",
        "audio/gt_bach.wav",
        "Bach, 7 s at 44.1 kHz",
        options={"size": 200_000},
        goal=Goal(db=40.0, bytes=200_000),
    ),
    Entry("counting", "audio/gt_counting.wav", "counting, 12 s at 44.1 kHz"),
    Entry("hungarian", "audio/music_hungarian_7s_mono.wav", "Hungarian Dance, 7 s at 44.1 kHz"),
    Entry("speech", "audio/speech_3436_16k_mono.wav", "speech, 17 s at 16 kHz"),
    Entry("librispeech", "audio/librosa_librispeech_198-209-0000.hq.ogg", "LibriSpeech, 14 s at 16 kHz"),
    Entry(
        "mri",
        "volume/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
        "MRI template, 197 x 233 x 189",
        fraction=100,
        goal=Goal(above=_CLASSIC),
    ),
    Entry("ct", "volume/totalseg_example_ct.nii.gz", "CT, 122 x 101 x 112"),
    Entry(
        "eraint",
        "geo/eraint_uvz.nc",
        "ERA-Interim z, u, v, 2 x 3 x 241 x 480",
        fraction=50,
        goal=Goal(above=_CLASSIC),
    ),
    Entry("tos", "geo/tos_O1_2001-2002.nc", "sea surface temperature, 24 x 170 x 180"),
    Entry("carphone", "video/carphone_rgb_32frames.npz", "carphone, 32 frames of 176 x 144"),
    Entry("lucy", "mesh/lucy_100k.ply", "Lucy, 256^3", load=_SOLID, goal=Goal(iou=0.985)),
    Entry(
        "thai",
        "mesh/thai_statue_from_bacon_385.ply",
        "Thai Statue via BACON, 256^3",
        load=_SOLID,
        goal=Goal(iou=0.97),
    ),
    Entry("dragon", "mesh/dragon_100k_photon.obj", "dragon, 256^3", load=_SOLID),
    Entry("bunny", "mesh/bunny_hr_odedstein.obj", "bunny, 256^3", load=_SOLID),
    Entry("lego", "nerf/lego_100.npz", "lego, 100 views of 100 x 100"),
    Entry("staf", "checkpoints/staf_siren_cameraman_test2_epoch2350.pth", "a SIREN 2-256x4-1"),
    Entry("nerf", "checkpoints/krrish94_lego_lowres.ckpt", "a tiny NeRF, coarse and fine"),
)


# -- the usual codecs of a signal ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rivals:
    """The usual codecs of a source, the quality in dB of what they decode to, and yardsticks: bytes by name."""

    codecs: Iterable[Codec] = ()
    quality: Callable[[Any], float] = lambda decoded: math.nan
    yardsticks: Mapping[str, int] = field(default_factory=dict)


def rivals_of(signal: Any) -> Rivals:
    """The usual codecs of a signal, measured by its own `quality`."""
    return _RIVALS[signal.spec.KIND](signal)


def _of_image(signal: Any) -> Rivals:
    array = signal.array.reshape(signal.spec.shape)
    return Rivals(usual_codecs.picture_codecs(array), lambda decoded: signal.quality(lambda: decoded).db)


def _of_audio(signal: Any) -> Rivals:
    spec = signal.spec
    array = signal.array
    scale = 2.0 ** (8 * array.dtype.itemsize - 1) if array.dtype.kind == "i" else 1.0

    def quality(decoded: Any) -> float:
        samples = decoded * scale
        if array.dtype.kind == "i":
            samples = np.clip(np.rint(samples), -scale, scale - 1)
        sound = SimpleNamespace(samples=samples.astype(array.dtype), rate=spec.rate)
        return float(signal.quality(lambda: sound).db)

    return Rivals(usual_codecs.sound_codecs(array / scale, spec.rate), quality)


def _of_volume(signal: Any) -> Rivals:
    def quality(decoded: Any) -> float:
        whole = decoded["volume"]
        return float(signal.quality(lambda region: whole[tuple(slice(*r) for r in region)]).db)

    return Rivals(usual_codecs.field_codecs({"volume": np.asarray(signal.array)}), quality)


def _of_dataset(signal: Any) -> Rivals:
    arrays, extra = {}, b""
    for number, variable in enumerate(signal.spec.variables):
        stored = signal.stored[variable.name]
        if number in signal.missing:
            stored, gaps = _filled(stored, signal.missing[number])
            extra += gaps
        arrays[variable.name] = stored

    def quality(decoded: Any) -> float:
        return float(signal.quality(lambda decode_cf: _Variables(decoded)).db)

    return Rivals(usual_codecs.field_codecs(arrays, extra), quality)


class _Variables(dict[str, Any]):
    """Arrays that look like those of a dataset."""

    def __getitem__(self, name: str) -> Any:
        array = super().__getitem__(name)
        return SimpleNamespace(values=array, shape=array.shape, dtype=array.dtype)


def _filled(array: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, bytes]:
    """The nearest values of the same map where there are none, and the mask of these places, packed."""
    import brotli
    from scipy.ndimage import distance_transform_edt

    maps, gaps = array.reshape(-1, *array.shape[-2:]).copy(), missing.reshape(-1, *array.shape[-2:])
    for plane, gap in zip(maps, gaps):
        near = distance_transform_edt(gap, return_distances=False, return_indices=True)
        plane[:] = plane[tuple(near)]
    return maps.reshape(array.shape), brotli.compress(np.packbits(missing).tobytes(), quality=11)


def _of_video(signal: Any) -> Rivals:
    frames = np.broadcast_to(signal.array, (*signal.array.shape[:3], 3))
    channels = signal.array.shape[3]

    def quality(decoded: Any) -> float:
        clip = SimpleNamespace(frames=decoded[..., :channels])
        return float(signal.quality(lambda: clip).db)

    return Rivals(usual_codecs.video_codecs(frames, float(signal.spec.fps)), quality)


def _of_shape(signal: Any) -> Rivals:
    from sinr_codec.signals.mesh import Mesh, occupancy

    spec, solid = signal.spec, signal.solid
    yardsticks = {"lossless context coding": lossless_bytes(solid)}
    if signal.mesh is None:
        return Rivals(yardsticks=yardsticks)

    def quality(decoded: Any) -> float:
        found, _ = occupancy(Mesh(decoded[0], decoded[1]), spec.origin, spec.voxel, spec.shape)
        iou = np.count_nonzero(found & solid) / np.count_nonzero(found | solid)
        return math.inf if iou == 1 else -10 * math.log10(1 - iou)

    return Rivals(usual_codecs.mesh_codecs(signal.mesh.vertices, signal.mesh.faces), quality, yardsticks)


def _of_radiance(signal: Any) -> Rivals:
    return Rivals(yardsticks={"training views as PNG": sum(map(_png_bytes, signal.views.pictures))})


def _png_bytes(picture: np.ndarray) -> int:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", optimize=True)
    return len(file.getvalue())


_RIVALS: dict[str, Callable[[Any], Rivals]] = {
    "image": _of_image,
    "audio": _of_audio,
    "volume": _of_volume,
    "dataset": _of_dataset,
    "video": _of_video,
    "shape": _of_shape,
    "radiance": _of_radiance,
}


# -- one row -----------------------------------------------------------------------------------------------------


def measure(entry: Entry, data: Path, work: Path, options: Mapping[str, Any]) -> Row:
    """Encode a signal or network into `work`, or take what is there from before, and compare."""
    source, file = data / entry.path, work / f"{entry.name}.sinr"
    is_network = entry.path.startswith("checkpoints/")
    row = _ours(entry, source, file, options, is_network)
    rivals = _of_network(source, file) if is_network else rivals_of(registry.load(source, **entry.load))
    found = usual_codecs.compare(rivals.codecs, rivals.quality, row["bytes"], row["db"])
    row["usual"] = {name: asdict(rival) for name, rival in found.items()}
    row["yardsticks"] = dict(rivals.yardsticks)
    if row["kind"] == "radiance":
        row["yardsticks"]["weights at 16 bits"] = 2 * row["params"]
    if entry.goal is not None:
        row["goal"], row["goal_met"] = entry.goal.text(), entry.goal.met(row)
    return row


def _ours(entry: Entry, source: Path, file: Path, options: Mapping[str, Any], is_network: bool) -> Row:
    """The row without its rivals; kept beside the file, so that nothing is fitted twice."""
    kept = file.with_suffix(".json")
    asked = {"options": {**entry.options, **entry.load, **options}, "fraction": entry.fraction}
    if kept.exists() and file.exists():
        row: Row = json.loads(kept.read_text())
        if row["asked"] == asked and file.stat().st_size == row["bytes"]:
            return row
    row = _compressed(source, file) if is_network else _encoded(entry, source, file, options)
    start = time.perf_counter()
    checked = codec.verify(file, source, **({} if is_network else entry.load))
    row |= {"verify_seconds": time.perf_counter() - start, "db": checked.measured, "figures": checked.figures}
    row |= {"name": entry.name, "title": entry.title, "bytes": file.stat().st_size, "asked": asked}
    row |= {"commit": commit(), "machine": machine()}
    kept.write_text(json.dumps(row, indent=1) + "\n")
    return row


def _encoded(entry: Entry, source: Path, file: Path, options: Mapping[str, Any]) -> Row:
    wanted = {**entry.options, **entry.load, **options}
    if entry.fraction is not None:
        wanted["size"] = registry.load(source, **entry.load).source_bytes // entry.fraction
    report = codec.encode(source, file, checkpoint=file.with_suffix(".fit"), **wanted)
    return {
        "kind": report.kind,
        "measure": report.measure,
        "raw_bytes": report.source_bytes,
        "params": report.field.num_params * report.parts,
        "preset": report.preset,
        "seconds": report.seconds,
        "target": report.target,
        "target_met": report.target_met,
        "notes": list(report.notes),
        "sections": report.sections,
    }


def _compressed(source: Path, file: Path) -> Row:
    report = compress_report(source, file)
    return {
        "kind": "network",
        "measure": "fidelity",
        "raw_bytes": 4 * report.weights,
        "params": report.weights,
        "seconds": report.seconds,
        "notes": list(report.notes),
        "sections": report.sections,
    }


def _of_network(source: Path, file: Path) -> Rivals:
    """Min-max and Brotli of the tensors that the file holds, with the fidelity that `verify` measures."""
    header, _ = load_source(file, DEFAULT_LIMITS)
    held = decompress(file)
    state = {name: w for name, w in read_checkpoint(source, keep_optimiser=True).state.items() if name in held}

    def quality(decoded: Any) -> float:
        return compare_networks(header, source, decoded)[0]

    return Rivals(usual_codecs.network_codecs(state), quality)


# -- the page ----------------------------------------------------------------------------------------------------

_PREFACE = """# Comparison with the usual codecs

Made by `python benchmarks/signals.py --data DIR --table docs/guide/comparison.md` from `results/signals.json`.

Sizes are those of files; quality is measured on the decoded files. The usual codecs of each field are searched for the
best quality within our bytes and for the fewest bytes that reach our quality. They get every advantage: MP3 and Opus
are tried at several rates and aligned in time, volumes with their axes in every order, meshes simplified before Draco,
pictures with full and half colour resolution. Qualities in dB are the SNR of sounds, the fidelity of networks, and
elsewhere the PSNR. The last column says which codec **wins**.
"""


def table(rows: Iterable[Row]) -> str:
    """The page, Markdown, of the rows of a report."""
    rows = list(rows)
    lines = [
        "| signal | kind | raw bytes | file bytes | ratio | quality | seconds | usual codecs: quality at our bytes "
        "| bytes at our quality | smaller at our quality |",
        "|---|---|---:|---:|---:|---|---:|---|---|---|",
    ]
    for row in rows:
        cells = [
            row["title"],
            row["kind"],
            f"{row['raw_bytes']:,}",
            f"{row['bytes']:,}",
            f"{row['raw_bytes'] / row['bytes']:.1f}",
            _quality_text(row, row["db"]) + _largest_error(row),
            f"{row['seconds']:.0f}",
            _cell(row, "at_bytes"),
            _cell(row, "at_quality"),
            _winner(row),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    page = [_PREFACE, *lines]
    goals = [row for row in rows if row.get("goal")]
    if goals:
        page += ["", "Goals:", ""]
        page += [f"- {row['title']}: {row['goal']}: **{'met' if row['goal_met'] else 'missed'}**" for row in goals]
    yardsticks = [row for row in rows if row["yardsticks"]]
    if yardsticks:
        page += ["", "Other reference sizes:", ""]
        page += [
            f"- {row['title']}: " + ", ".join(f"{name} {size:,} bytes" for name, size in row["yardsticks"].items())
            for row in yardsticks
        ]
    page += ["", "`results/signals.json` has the settings of the usual codecs, all sizes and all times."]
    machines = sorted({row["machine"] for row in rows})
    if machines:
        where = "; ".join(machines)
        page += [f"Seconds are those of a whole encoding on {where}, beside other work, and therefore upper bounds."]
    return "\n".join(page) + "\n"


def _quality_text(row: Row, db: float) -> str:
    if row["measure"] == "IoU":
        return f"IoU {1 - 10 ** (-db / 10):.4f}"
    if db >= LOSSLESS:
        return "lossless"
    # Between the PSNR and the SNR of a sound lies a constant.
    above = row["db"] - row["figures"]["snr_db"] if row["kind"] == "audio" else 0
    return f"{db - above:.2f} dB"


def _largest_error(row: Row) -> str:
    """The largest error of a volume, in its units."""
    return f", largest error {row['figures']['max_error']:,.5g}" if row["kind"] == "volume" else ""


def _cell(row: Row, which: str) -> str:
    parts = []
    for name, rival in row["usual"].items():
        point = rival[which]
        if point is None:
            text = "none so small" if which == "at_bytes" else "none so good"
        elif which == "at_bytes":
            text = _quality_text(row, point["db"])
        else:
            text = f"{point['bytes']:,}"
        parts.append(f"{name} {text}")
    return "<br>".join(parts) or "-"


def _winner(row: Row) -> str:
    """Whose file is the smallest at our quality."""
    sizes = {name: rival["at_quality"]["bytes"] for name, rival in row["usual"].items() if rival["at_quality"]}
    sizes |= {name: size for name, size in row["yardsticks"].items() if name.startswith("lossless")}
    if not row["usual"] and not sizes:
        return "-"
    name = min(sizes, key=lambda n: sizes[n], default=None)
    if name is None or row["bytes"] <= sizes[name]:
        return "**sinr**" + (f", {sizes[name] / row['bytes']:.2f} times" if name is not None else "")
    return f"**{name}** wins, {row['bytes'] / sizes[name]:.2f} times"


# -- running -----------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with the signals; without it only the page is made")
    parser.add_argument("--out", type=Path, default=Path("results/signals.json"), help="the report")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[e.name for e in ENTRIES], help="these signals")
    parser.add_argument("--resume", action="store_true", help="leave out the signals that the report has")
    parser.add_argument("--work", type=Path, default=Path(".sinr-cache/signals"), help="folder for files and fits")
    parser.add_argument("--preset", help="of every encoding")
    parser.add_argument("--seconds", type=float, help="of every fit")
    parser.add_argument("--table", type=Path, help="write the page")
    args = parser.parse_args()
    rows = {row["name"]: row for row in json.loads(args.out.read_text())["results"]} if args.out.exists() else {}
    options = {name: value for name in ("preset", "seconds") if (value := getattr(args, name)) is not None}
    for entry in ENTRIES if args.data is not None else ():
        if (args.only and entry.name not in args.only) or (args.resume and entry.name in rows):
            continue
        if not (args.data / entry.path).exists():
            print(f"{entry.name}: no {entry.path}, left out")
            continue
        args.work.mkdir(parents=True, exist_ok=True)
        rows[entry.name] = row = measure(entry, args.data, args.work, options)
        ordered = [rows[e.name] for e in ENTRIES if e.name in rows]
        beside = args.out.with_suffix(".part")
        write_report(beside, "signals", ordered)
        os.replace(beside, args.out)
        print(f"{entry.name}: {row['bytes']:,} bytes, {_quality_text(row, row['db'])}, {row['seconds']:.0f} s")
    if args.table is not None:
        args.table.parent.mkdir(parents=True, exist_ok=True)
        args.table.write_text(table(rows[e.name] for e in ENTRIES if e.name in rows))


if __name__ == "__main__":
    main()
