"""The pytest plugin: fixtures that cost nothing until a test asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from inference_gateway.testing.run import RunModel


@pytest.fixture(scope="module")
def run_model() -> Iterator[RunModel]:
    """`inference_gateway.testing.run_model`, with each model set up once, until the module's last test."""
    from inference_gateway.testing.run import set_up

    ready: list[tuple[Any, dict[str, Any], Any]] = []
    with ExitStack() as stack:

        def run(model: Any, /, *inputs: Any, json_input: Any = None, **options: Any) -> Any:
            __tracebackhide__ = True
            for known, with_options, infer in ready:
                if known is model and with_options == options:
                    return infer(*inputs, json_input=json_input)
            infer = stack.enter_context(set_up(model, **options))
            ready.append((model, options, infer))
            return infer(*inputs, json_input=json_input)

        yield run


@pytest.fixture(scope="session")
def sample_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a made CT series: 12 images of 64 x 64 with lungs, bones and a lesion."""
    from inference_gateway.demo.phantom import write_phantom

    folder = tmp_path_factory.mktemp("sample") / "study"
    write_phantom(folder, slices=12, rows=64, columns=64)
    return folder
