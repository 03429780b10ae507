import threading

import pytest
import threadpoolctl

from sinr_codec.tiles import map_tiles


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_order_is_kept(threads):
    overtaken = threading.Event()

    def first_is_last(i):
        if i == 0 and threads > 1:
            overtaken.wait()
        elif i > 0:
            overtaken.set()
        return i

    assert list(map_tiles(first_is_last, range(40), threads)) == list(range(40))


def test_few_results_wait():
    pulled = []

    def items():
        for i in range(100):
            pulled.append(i)
            yield i

    results = map_tiles(lambda i: i, items(), 2)
    next(results)
    assert len(pulled) < 10
    results.close()


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_through_and_stops_the_rest(threads):
    done = []

    def fail_at_3(i):
        if i == 3:
            raise ValueError("three")
        done.append(i)

    with pytest.raises(ValueError, match="three"):
        list(map_tiles(fail_at_3, range(1000), threads))
    assert len(done) < 50


def test_the_matrix_library_gets_its_threads_back():

    def count():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    before = count()
    outer, inner = map_tiles(lambda i: i, range(50), 2), map_tiles(lambda i: i, range(50), 2)
    next(outer), next(inner)
    assert set(count()) == {1}
    outer.close()
    assert set(count()) == {1}
    inner.close()
    assert count() == before
