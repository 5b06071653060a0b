"""One journey: a study, a gateway in front of an embedded model, and the test tool that shows its answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from inference_gateway.demo.gateway_process import DemoError, free_port, running_gateway, serve_command
from inference_gateway.errors import ClientError
from inference_gateway.extras import extra

with extra("demo", needs=__name__):
    from inference_gateway.infer.gather import GatherError
    from inference_gateway.infer.progress import Phases
    from inference_gateway.infer.run import Order, reading, send


@dataclass(frozen=True)
class Limits:
    """Seconds that the gateway may take to become ready, and the answer to come."""

    start: float = 120.0
    answer: float = 600.0


def run_model(model: str, gather: Callable[[], Sequence[Path]], folder: Path, limits: Limits) -> None:
    """Send a study through the embedded model of that name, write its answer into a folder, say what came.

    `gather` finds or makes the folders and files of the study. Raises `DemoError` where anything fails, with
    what to do about it.
    """
    phases = Phases(show=True)
    log = folder / "gateway.log"
    try:
        with phases.shown(), reading(gather(), folder, phases) as read:
            folder.mkdir(parents=True, exist_ok=True)
            port = free_port()
            phases.begin("start")
            with running_gateway(serve_command(model, port), port, log, limits.start):
                click.echo(f"{model}: {read}")
                order = Order(folder, url=f"http://127.0.0.1:{port}", timeout=limits.answer)
                outcome = send(read, order, phases)
    except GatherError as error:
        raise DemoError(str(error)) from error
    except ClientError as error:
        raise DemoError(f"{error}\nThe gateway's own words to that are in {log}") from error
    click.echo(str(outcome))
