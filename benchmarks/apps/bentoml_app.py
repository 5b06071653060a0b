"""BentoML, as its documentation does it: a form's files arrive as paths."""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Any

import bentoml
from bentoml.validators import ContentType
from counting import ANSWER_BYTES, model


class Counted:
    """A path with the two methods that the model counts with."""

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        self.position = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = offset + (self.size if whence == os.SEEK_END else 0)
        return self.position

    def tell(self) -> int:
        return self.position


@bentoml.service(traffic={"timeout": 600, "max_concurrency": 64}, workers=1)
class Counting:
    @bentoml.api(route="/infer")
    def infer(self, json_input: dict[str, Any], inputs: list[Path] = []) -> dict[str, Any]:  # noqa: B006
        answer, _ = model(json_input, [Counted(path) for path in inputs], "")
        return answer

    @bentoml.api(route="/array")
    def array(self, json_input: dict[str, Any]) -> Annotated[bytes, ContentType("application/octet-stream")]:
        _, elements = model(json_input, [], "")
        return elements[0].tobytes()

    @bentoml.api(route="/iterable")
    def iterable(self, json_input: dict[str, Any]) -> Generator[bytes, None, None]:
        _, elements = model(json_input, [], "")
        yield from elements[0] if ANSWER_BYTES else []
