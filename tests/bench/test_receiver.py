import math

import pytest

from sinr_codec.bench.receiver import break_even, rate_with_base
from sinr_codec.errors import InputError


def test_a_base_is_counted_never_in_part_or_in_full():
    rate = rate_with_base(file_bytes=1000, base_bytes=40_000, units=8000, signals=20)
    assert (rate.per_signal, rate.amortised, rate.cold) == (1.0, 3.0, 41.0)
    alone = rate_with_base(1000, 40_000, 8000, 1)
    assert alone.amortised == alone.cold == 41.0
    without = rate_with_base(1000, 0, 8000, 20)
    assert without.per_signal == without.amortised == without.cold == 1.0


def test_enough_signals_pay_for_a_base():
    signals = break_even(1000, 40_000, 3000)
    assert signals == 20
    assert 1000 * 20 + 40_000 == 3000 * 20
    assert break_even(3000, 40_000, 1000) == math.inf


@pytest.mark.parametrize("wrong", [(-1, 0, 1, 1), (1, -1, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0)])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(InputError):
        rate_with_base(*wrong)
