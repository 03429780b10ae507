import pytest

torch = pytest.importorskip("torch")

from sinr_codec.fit.kernels import side_by_side  # noqa: E402
from sinr_codec.fit.threads import WORK_A_THREAD, one_thread, threads_for  # noqa: E402


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize(("threads", "expected"), [(0, 1), (0.5, 1), (2.5, 2), (100, 4)])
def test_threads_follow_the_work_up_to_those_there_are(threads, expected):
    with threads_for(threads * WORK_A_THREAD):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 4


@pytest.mark.usefixtures("four_threads")
def test_threads_are_given_back_after_an_error():
    with pytest.raises(ZeroDivisionError), threads_for(0):
        _ = 1 / 0
    assert torch.get_num_threads() == 4


@pytest.mark.usefixtures("four_threads")
def test_one_thread():
    one_thread()
    assert torch.get_num_threads() == 1


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize("threads", [1, 3])
def test_work_side_by_side_has_one_thread_each_and_keeps_its_order(threads):
    def work(number):
        return number, torch.get_num_threads()

    assert list(side_by_side(work, 7, threads)) == [(number, 1) for number in range(7)]
    assert torch.get_num_threads() == 4
