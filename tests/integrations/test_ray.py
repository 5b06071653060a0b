"""Models on Ray, by the names that an application uses."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from inference_gateway.cli import main
from inference_gateway.execution.actors import model
from inference_gateway.integrations import ray

WITHOUT = """
import sys
sys.modules["ray"] = None
from inference_gateway import Gateway
from inference_gateway.integrations.ray import RayModel
try:
    Gateway().add_inference_route("/", RayModel("my_model:Model"))
except ModuleNotFoundError as error:
    print(error)
"""


def test_it_is_the_public_name() -> None:
    assert ray.__all__ == ["RayModel"]
    assert ray.RayModel is model.RayModel


def test_without_ray_it_is_said_what_is_missing() -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert ran.stdout == "RayModel needs ray: pip install 'dicom-inference-gateway[ray]'\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--actors", "many"], "--actors is a number"),
        (["--actors", "0"], "actors are at least one"),
        (["--isolation", "process"], "--engine goes without --isolation"),
        (["--devices", "cuda:0"], "--engine goes without --isolation"),
    ],
)
def test_options_of_serve_that_cannot_be(options: list[str], says: str) -> None:
    ran = CliRunner().invoke(main, ["serve", "my_model:Model", "--engine", "ray", *options])
    assert ran.exit_code == 2
    assert says in ran.output
