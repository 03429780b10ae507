import dataclasses

import pytest

from sinr_codec.container import DEFAULT_LIMITS, Limits
from sinr_codec.errors import LimitError


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Limits)])
def test_a_value_up_to_the_bound_passes_and_a_larger_one_is_refused(name):
    bound = DEFAULT_LIMITS.bound(name)
    DEFAULT_LIMITS.check(name, bound)
    with pytest.raises(LimitError, match=rf"declares {bound + 1:,} for {name}; this reader accepts {bound:,}"):
        DEFAULT_LIMITS.check(name, bound + 1)


def test_a_reader_may_set_its_own_and_no_one_may_change_them():
    limits = Limits(max_params=5)
    with pytest.raises(LimitError, match="max_params"):
        limits.check("max_params", 6)
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.max_params = 7
