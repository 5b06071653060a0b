"""What went wrong, in words."""

from inference_gateway.execution.process.telling import device_trouble, told


class Odd(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # the mistake


def test_an_exception_without_a_text_is_told_by_its_name() -> None:
    head = told(Odd())
    assert (head["error"], head["reason"]) == ("failed", "Odd")
    assert "Odd" in head["traceback"]


def test_trouble_of_the_device_is_known_by_its_words() -> None:
    assert device_trouble(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")) == "device memory"
    assert device_trouble(RuntimeError("CUDA error: an illegal memory access")) == "device error"
    assert device_trouble(ValueError("no such organ")) is None
