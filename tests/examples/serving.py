"""An example as its reader runs it: from its file, behind a real server, asked with a real study."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.types import ASGIApp

from inference_gateway import Gateway
from inference_gateway.check import content
from inference_gateway.check.exchange import Target
from inference_gateway.check.study import read_study
from inference_gateway.check.verdict import Subject, Verdict
from inference_gateway.client import InferenceClient, RetryPolicy
from tests.harness.server import serving

EXAMPLES = Path(__file__).parents[2] / "examples"


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [one for one in packages if importlib.util.find_spec(one) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


@contextmanager
def loaded(name: str) -> Iterator[Any]:
    """The module of an example, imported as from its own folder."""
    sys.path.insert(0, str(EXAMPLES))
    before = set(sys.modules)
    try:
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(EXAMPLES))
        for added in set(sys.modules) - before:
            if Path(getattr(sys.modules[added], "__file__", None) or "/").parent == EXAMPLES:
                del sys.modules[added]


@dataclass
class Answered:
    """What a client gets, and what the check of a gateway has against it."""

    json: dict[str, Any]
    arrays: list[NDArray[Any]]
    elements: list[bytes]
    faults: list[str]


def asked(app: ASGIApp, study: Path, route: str = "/") -> Answered:
    """Serve an application, send it a study, and look through the answer."""
    with serving(app) as server:
        url = f"http://{server.address[0]}:{server.address[1]}"
        patient = RetryPolicy(attempts=60)  # while weights are loaded the gateway says when to come again
        with InferenceClient(url, retry=patient).infer({}, [study], route=route) as result:
            masks = [one for one in result.elements if "binary_data_shape" in one.part]
            answered = Answered(
                result.json,
                [one.array() for one in masks],
                [one.read() for one in result.elements],
                [],
            )
        with closing(Subject(Target(url), read_study(study), route)) as subject:
            found = [check.run(subject) for check in content.CHECKS]
    answered.faults = [one.detail for one in found if one.verdict is Verdict.FAIL]
    assert len(found) > 5
    return answered


def gateway_of(model: Any, route: str = "/") -> Gateway:
    app = Gateway()
    app.add_inference_route(route, model)
    app.add_healthcheck_route(lambda: "READY")
    return app


def values_of(array: NDArray[Any]) -> set[int]:
    return set(map(int, np.unique(array)))
