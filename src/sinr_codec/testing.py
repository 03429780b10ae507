"""Tests that every kind of signal passes, for packages that add one; needs pytest.

from sinr_codec.testing import KindContract

class TestSpectrum(KindContract):
kind = KIND

def source(self, folder):
path = folder / "a.csv"
path.write_text(...)
return path
"""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import cbor2
import numpy as np
import pytest

import sinr_codec
from sinr_codec.codec import EncodeReport
from sinr_codec.container import Limits
from sinr_codec.decoding import open
from sinr_codec.errors import FormatError, InputError, LimitError
from sinr_codec.signals import registry
from sinr_codec.signals.base import Signal
from sinr_codec.signals.claims import is_path
from sinr_codec.signals.kinds import Kind
from sinr_codec.signals.options import options_of
from sinr_codec.signals.recipe import Preset, Recipe

_JUNK: Final[tuple[Any, ...]] = (None, True, -1, 2**40, 0.5, float("1e300"), "x", b"x", [], [1, 2, 3], {})


class KindContract:
    """A base class of a class of tests.

    Attributes
    ----------
    kind
        What is tested.
    load
        Options of `load` for `source`.
    network
        Arguments of `encode` that make a small file in a moment.
    steps
        Of the fits.
    """

    kind: ClassVar[Kind]
    load: ClassVar[Mapping[str, Any]] = {}
    network: ClassVar[Mapping[str, Any]] = {"width": 8, "depth": 1}
    steps: ClassVar[int] = 30

    def source(self, folder: Path) -> Any:
        """A small source of the kind, such as a file in a folder."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Where the source and its file are."""
        return tmp_path_factory.mktemp("contract")

    @pytest.fixture(scope="class")
    @classmethod
    def given(cls, folder: Path) -> Any:
        """The source."""
        return cls().source(folder)

    @pytest.fixture(scope="class")
    @classmethod
    def signal(cls, given: Any) -> Signal:
        """The source, read."""
        return registry.load(given, cls.kind.name, **cls.load)

    @pytest.fixture(scope="class")
    @classmethod
    def report(cls, given: Any, folder: Path) -> EncodeReport:
        """A file of the source, in few steps."""
        settings = Recipe.settings

        def short(recipe: Recipe, preset: Preset) -> dict[str, Any]:
            return settings(recipe, preset) | {"steps": cls.steps, "compile": False}

        options: dict[str, Any] = {**cls.network, **cls.load}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Recipe, "settings", short)
            return sinr_codec.encode(given, folder / "contract.sinr", kind=cls.kind.name, preset="fast", **options)

    def test_it_is_registered(self) -> None:
        """By its name and by each of its ids."""
        assert registry.kind_named(self.kind.name) is self.kind
        assert self.kind.name == self.kind.spec.KIND
        for number in self.kind.ids:
            assert registry.kind_in_header([number]) is self.kind

    def test_it_claims_its_sources(self, given: Any) -> None:
        """And no other kind does before it."""
        assert self.kind.claims(given)
        assert registry.kind_of(given) is self.kind

    def test_options_do_not_hide_those_of_the_functions(self) -> None:
        """And each that the command line has is described."""
        for function, takes in ((sinr_codec.encode, self.kind.signal.load), (sinr_codec.decode, self.kind.spec.render)):
            options = options_of(takes)
            assert not {option.name for option in options} & set(inspect.signature(function).parameters)
            for option in options:
                assert option.about, f"{option.name} is not described in the docstring of {takes.__qualname__}"

    def test_the_description_survives_a_header(self, signal: Signal) -> None:
        """In CBOR, and it is ready for JSON."""
        spec = signal.spec
        header = spec.to_header()
        assert header[0] in self.kind.ids
        read = registry.spec_from_header(cbor2.loads(cbor2.dumps(header, canonical=True)), spec.side)
        assert (read.to_header(), read.side) == (header, spec.side)
        assert (read.in_features, read.out_features, read.parts) == (spec.in_features, spec.out_features, spec.parts)
        assert self.kind.parts_in(header) == spec.parts
        about = json.loads(json.dumps(read.describe()))
        assert about["type"] == self.kind.name
        assert isinstance(about["shape"], list)

    def test_headers_that_no_writer_makes_are_refused(self, signal: Signal) -> None:
        """With an error of the format, whatever is in them; junk that happens to be valid is a description."""
        header = signal.spec.to_header()
        assert all(self._refused(header[:count], signal.spec.side) for count in range(1, len(header)))
        assert self._refused([*header, 0, 0, 0], signal.spec.side)
        refused = 0
        for place in range(1, len(header)):
            for junk in _JUNK:
                refused += self._refused([*header[:place], junk, *header[place + 1 :]], signal.spec.side)
        assert refused or len(header) == 1

    def _refused(self, header: list[Any], side: bytes) -> bool:
        """Whether a header is refused in one line; anything else than an error of the format fails."""
        try:
            registry.spec_from_header(header, side)
        except FormatError as error:
            return "\n" not in str(error)
        return False

    def test_samples_are_those_of_the_networks(self, signal: Signal) -> None:
        """Coordinates in [-1, 1] and finite values, as many as the description says."""
        spec = signal.spec
        assert len(signal.parts) == spec.parts
        assert signal.source_bytes > 0
        cut = getattr(signal, "in_blocks", lambda: signal)()  # as `encode` takes it
        assert len(cut.parts) == cut.spec.parts
        for part in signal.parts:
            if not hasattr(
                part, "trainable"
            ):  # otherwise something is around the network, such as the rendering of rays
                assert (part.in_features, part.out_features) == (spec.in_features, spec.out_features)
            index = np.unique(np.linspace(0, len(part) - 1, 50).astype(np.int64))
            coords, values = part.batch(index)
            assert len(coords) == len(values) == len(index)
            assert np.isfinite(np.asarray(coords)).all()
            assert np.isfinite(np.asarray(values)).all()

    def test_a_file_decodes_as_measured(self, report: EncodeReport, given: Any, tmp_path: Path) -> None:
        """Its size and quality are those of the report, `info` tells its kind, and what it decodes to is written."""
        path = report.path
        assert path is not None
        assert path.read_bytes() == report.blob
        assert (report.kind, report.bytes) == (self.kind.name, len(report.blob))
        verified = sinr_codec.verify(path, given, **self.load)
        assert verified.ok
        assert verified.measured == pytest.approx(report.quality, abs=0.02)
        about = json.loads(json.dumps(sinr_codec.info(path)))
        assert (about["signal"]["type"], about["measure"]) == (self.kind.name, report.measure)
        decoder = open(path)
        out = tmp_path / f"out{decoder.spec.suffix}"
        decoder.save(out)
        assert out.exists()
        assert decoder.spec.summary(decoder.render())

    def test_a_rendering_is_bounded(self, report: EncodeReport) -> None:
        """A reader that accepts few values refuses before it renders."""
        with pytest.raises(LimitError):
            sinr_codec.decode(report.blob, limits=Limits(max_samples=1))

    def test_unknown_options_are_refused(self, report: EncodeReport, given: Any) -> None:
        """In one line that tells those that there are."""
        with pytest.raises(InputError, match="no_such: not an option of"):
            sinr_codec.decode(report.blob, no_such=1)
        with pytest.raises(InputError, match="no_such: not an option of"):
            sinr_codec.encode(given, kind=self.kind.name, no_such=1)

    def test_files_of_something_else_are_refused(self, tmp_path: Path, given: Any) -> None:
        """In one line that names the file."""
        if not is_path(given) or Path(given).is_dir():
            pytest.skip("the source is no file")
        suffix = "".join(Path(given).suffixes)
        for name, content in (("empty", b""), ("text", b"not a signal at all\n" * 9), ("bytes", bytes(range(256)) * 9)):
            path = tmp_path / f"{name}{suffix}"
            path.write_bytes(content)
            with pytest.raises(InputError) as caught:
                registry.load(path, self.kind.name)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)
