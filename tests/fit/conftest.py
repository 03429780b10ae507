import pytest


@pytest.fixture
def one_thread():
    """Sums that do not depend on how many cores there are."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
