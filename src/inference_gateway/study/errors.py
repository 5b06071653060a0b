"""What keeps a study from being what a model asks for."""

from __future__ import annotations

from inference_gateway.errors import Refused


class StudyError(Refused):
    """The study is not what a model asks for: the client reads why, with numbers and nothing of it."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
