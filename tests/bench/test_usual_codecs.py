"""The usual codecs, the searches, and the page of benchmarks/signals.py, which is imported by its path."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from sinr_codec.bench import usual_codecs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def usual():
    return usual_codecs


@pytest.fixture
def program(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return import_module("signals")


def psnr(a, b, peak):
    assert a.shape == b.shape
    return 10 * np.log10(peak**2 / max(np.mean((a.astype(np.float64) - b) ** 2), 1e-20))


def smooth(*shape):
    grids = np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij")
    return sum(np.sin(2 * g + i) for i, g in enumerate(grids)) + 0.3 * np.cos(5 * grids[0] * grids[-1])


def tone(rate, seconds=0.5):
    t = np.arange(int(rate * seconds)) / rate
    noise = np.random.default_rng(0).normal(0, 0.003, len(t))
    return (0.4 * np.sin(2 * np.pi * 330 * t) * np.hanning(len(t)) + 0.1 * np.sin(2 * np.pi * 1200 * t) + noise)[
        :, None
    ]


def picture(*shape):
    wave = smooth(*shape[:2])[..., None] * np.linspace(0.6, 1, 3)
    return np.rint(127 + 40 * wave + np.random.default_rng(0).normal(0, 4, wave.shape)).clip(0, 255).astype(np.uint8)


def ball():
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=3)
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def cases(usual, kind):
    """Codecs of a tiny source, and the quality of what they decode to."""
    if kind == "sound":
        sound = tone(16_000)
        return usual.sound_codecs(sound, 16_000), lambda got: psnr(sound, got, 2)
    if kind == "resampled sound":
        sound = tone(22_050)
        codecs = [c for c in usual.sound_codecs(sound, 22_050) if c.name == "Opus"]
        return codecs, lambda got: psnr(sound, got, 2)
    if kind == "volume":
        volume = np.rint(20 * smooth(33, 34, 35)).astype(np.int16)
        return usual.field_codecs({"v": volume}), lambda got: psnr(volume, got["v"], np.ptp(volume))
    if kind == "fields":
        fields = {"a": smooth(2, 3, 20, 24).astype(np.float32), "b": 100 * smooth(2, 3, 20, 24)}
        return usual.field_codecs(fields, b"mask"), lambda got: min(
            psnr(a, got[name], np.ptp(a)) for name, a in fields.items()
        )
    if kind == "video":
        frames = np.stack([np.roll(picture(32, 48), i, 1) for i in range(4)])
        return usual.video_codecs(frames, 29.97), lambda got: psnr(frames, got, 255)
    if kind == "picture":
        array = picture(40, 56)
        return usual.picture_codecs(array), lambda got: psnr(array, got, 255)
    if kind == "mesh":
        vertices, faces = ball()
        # Distance of the decoded points from the sphere, inscribed as they are.
        codecs = usual.mesh_codecs(vertices, faces, keep=(1.0, 0.5))
        return codecs, lambda got: -20 * np.log10(np.abs(np.linalg.norm(got[0], axis=1) - 1).mean())
    state = {"w": np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32), "steps": np.array([3])}

    def quality(got):
        assert got["steps"] == state["steps"]
        return psnr(state["w"], got["w"], 1)

    return usual.network_codecs(state), quality


@pytest.mark.parametrize(
    "kind", ["sound", "resampled sound", "volume", "fields", "video", "picture", "mesh", "network"]
)
def test_more_bytes_are_better_and_searches_keep_what_they_promise(usual, kind):
    codecs, quality = cases(usual, kind)
    seen = set()
    for codec in codecs:
        if codec.name in seen and kind == "volume":
            continue  # the axes in another order
        seen.add(codec.name)
        small, large = (codec.encode(codec.settings[i]) for i in (len(codec.settings) // 3, -1))
        worse, better = quality(codec.decode(small)), quality(codec.decode(large))
        assert len(small) < len(large)
        assert worse < better + 0.1
        limit, db = (len(small) + len(large)) // 2, (worse + better) / 2 - 0.1
        search = usual.Search(codec, quality)
        most = search.at_bytes(limit)
        assert most.bytes <= limit
        assert most.db >= worse - 0.1  # of its highest rates an MP3 makes no use
        least = search.at_quality(db)
        assert least.db >= db
        assert least.bytes <= len(large)
        assert search.at_bytes(0) is None
        assert search.at_quality(300) is None


def test_a_search_finds_the_edge_of_an_exact_codec(usual):
    codec = usual.Codec("exact", "", range(100), lambda n: bytes(10 * n), len)
    search = usual.Search(codec, lambda size: size / 10)
    assert search.at_bytes(455).bytes == 450
    assert search.at_quality(45.5).bytes == 460
    assert search.at_bytes(10_000).bytes == 990


def test_the_best_of_a_name_counts(usual):
    def codec(variant, gain):
        return usual.Codec("one", variant, range(1, 50), bytes, lambda blob: gain * len(blob))

    found = usual.compare([codec("poor", 1), codec("good", 2), codec("fair", 1.5)], float, 20, 30)
    assert found["one"].at_bytes.setting == "good 20"
    assert found["one"].at_quality.bytes == 15


@pytest.mark.parametrize("shift", [-700, 0, 1105])
def test_sounds_are_aligned(usual, shift):
    sound = tone(16_000)
    moved = np.pad(sound, ((max(shift, 0), 900), (0, 0)))[max(-shift, 0) :]
    found = usual.align(sound, moved)
    kept = slice(max(-shift, 0), None)
    np.testing.assert_array_equal(found[kept], sound[kept])
    assert not found[: kept.start].any()


def test_zfp_is_given_tolerances_between_powers_of_two(usual):
    volume = smooth(40, 40, 40).astype(np.float32)
    codec = next(c for c in usual.field_codecs({"v": volume}) if c.name == "zfp")
    sizes = {len(codec.encode(t)) for t in np.geomspace(0.01, 0.02, 6)}
    assert len(sizes) >= 4


def test_a_mask_is_counted(usual):
    fields = {"a": smooth(3, 20, 24).astype(np.float32)}
    plain, masked = (next(iter(usual.field_codecs(fields, extra))) for extra in (b"", bytes(50)))
    assert len(masked.encode(0.01)) == len(plain.encode(0.01)) + 50
    np.testing.assert_array_equal(masked.decode(masked.encode(0.01))["a"], plain.decode(plain.encode(0.01))["a"])


def test_gaps_are_filled_with_their_neighbours(program):
    array = smooth(2, 12, 12).astype(np.float32)
    missing = np.zeros(array.shape, bool)
    missing[:, 3:6, 4:9] = True
    holes = np.where(missing, np.float32(1e20), array)
    filled, mask = program._filled(holes, missing)
    np.testing.assert_array_equal(filled[~missing], array[~missing])
    assert filled.max() < 10
    assert len(mask) > 0


def row(**changes):
    point = {"codec": "JPEG", "setting": "4:4:4 30", "bytes": 900, "db": 31.0, "seconds": 0.1}
    made = {
        "name": "coffee",
        "title": "coffee",
        "kind": "image",
        "measure": "PSNR",
        "raw_bytes": 72_000,
        "bytes": 1000,
        "db": 30.5,
        "figures": {},
        "seconds": 12.3,
        "machine": "a machine",
        "usual": {"JPEG": {"at_bytes": point, "at_quality": point}},
        "yardsticks": {},
    }
    return made | changes


def test_the_page_says_who_wins(program):
    lost = program.table([row()])
    assert "| 72,000 | 1,000 | 72.0 | 30.50 dB | 12 | JPEG 31.00 dB | JPEG 900 | **JPEG** wins, 1.11 times |" in lost
    nothing = {"JPEG": {"at_bytes": None, "at_quality": None}}
    won = program.table([row(usual=nothing)])
    assert "JPEG none so small" in won
    assert "JPEG none so good" in won
    assert "**sinr** |" in won
    solid = row(
        measure="IoU", db=20.0, usual={}, yardsticks={"lossless context coding": 800}, goal="IoU", goal_met=True
    )
    page = program.table([solid])
    assert "IoU 0.9900" in page
    assert "**lossless context coding** wins, 1.25 times" in page
    assert "**met**" in page
    widths = {line.count("|") for line in page.splitlines() if line.startswith("|")}
    assert widths == {11}


def test_goals(program):
    assert program.Goal(db=30, bytes=1000).met(row())
    assert not program.Goal(db=31).met(row())
    assert not program.Goal(bytes=999).met(row())
    assert not program.Goal(above=("JPEG",)).met(row())
    assert program.Goal(above=("JPEG",)).met(row(db=31.01))
    assert program.Goal(above=("JPEG",)).met(row(usual={"JPEG": {"at_bytes": None, "at_quality": None}}))
    assert program.Goal(iou=0.98).met(row(figures={"iou": 0.99}))


def test_rows_are_kept_and_the_page_is_made_of_them(program, tmp_path, monkeypatch):
    out, page = tmp_path / "signals.json", tmp_path / "page.md"
    out.write_text(json.dumps({"results": [row()]}))
    monkeypatch.setattr("sys.argv", ["signals.py", "--out", str(out), "--table", str(page)])
    program.main()
    assert page.read_text() == program.table([row()])


@pytest.mark.slow
def test_a_picture_from_beginning_to_end(program, tmp_path, monkeypatch):
    from PIL import Image

    (tmp_path / "images").mkdir()
    Image.fromarray(picture(48, 64)).save(tmp_path / "images/coffee.png")
    out = tmp_path / "signals.json"
    common = ["signals.py", "--data", str(tmp_path), "--out", str(out), "--work", str(tmp_path / "work")]
    monkeypatch.setattr("sys.argv", [*common, "--seconds", "2"])
    program.main()
    (found,) = json.loads(out.read_text())["results"]
    assert found["bytes"] == (tmp_path / "work/coffee.sinr").stat().st_size
    assert set(found["usual"]) == {"JPEG", "JPEG 2000", "WebP", "AVIF", "JPEG XL"}
    for rival in found["usual"].values():
        assert rival["at_bytes"] is None or rival["at_bytes"]["bytes"] <= found["bytes"]
        assert rival["at_quality"] is None or rival["at_quality"]["db"] >= found["db"]
    monkeypatch.setattr("sys.argv", [*common, "--resume", "--seconds", "2"])
    monkeypatch.setattr(program, "measure", lambda *_: pytest.fail("the row is there"))
    program.main()
