from typing import Any

import pytest

from inference_gateway import Gateway, Settings
from inference_gateway.errors import UnusableModel
from inference_gateway.execution.actors.model import RayModel


class Local:
    pass


@pytest.mark.parametrize("actors", [0, (0, 1), (2, 1), -1])
def test_there_is_at_least_one_actor(actors: Any) -> None:
    with pytest.raises(UnusableModel, match="actors are at least one"):
        RayModel("my_model:Model", actors=actors)


def test_there_are_two_transports() -> None:
    with pytest.raises(UnusableModel, match="transport"):
        RayModel("my_model:Model", transport="pigeon")  # type: ignore[arg-type]


def test_a_model_has_a_name_that_other_nodes_know() -> None:
    assert RayModel(Local).target == f"{__name__}:Local"
    with pytest.raises(ValueError, match="cannot import"):
        RayModel(lambda json_input, inputs, input_hash: {})


@pytest.mark.parametrize("option", [{"concurrency": 2}, {"isolation": "process"}, {"max_calls": 3}])
def test_what_it_says_itself_a_route_does_not(option: Any) -> None:
    with pytest.raises(ValueError, match="options of its own"):
        Gateway(settings=Settings()).add_inference_route("/", RayModel("my_model:Model"), **option)


def test_who_serves_the_same_shares_the_pool() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: make test-ray")

    def pool(route: str = "/", **options: Any) -> str:
        app = Gateway(settings=Settings())
        app.add_inference_route(route, RayModel("my_model:Model", **options))
        found: str = app._runners[0]._pool_name  # type: ignore[attr-defined]
        return found

    assert pool(actors=2) == pool(actors=2)
    others = {pool(), pool(actors=2), pool(num_gpus=1), pool("/other"), pool(resources={"a": 1})}
    assert len(others) == 5
