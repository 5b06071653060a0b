from collections.abc import Iterator

import pytest

from tests.execution.clusters import RayCluster, a_cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[RayCluster]:
    """The Ray cluster of all tests."""
    with a_cluster() as found:
        yield found
