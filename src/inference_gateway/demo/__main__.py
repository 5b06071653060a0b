"""`python -m inference_gateway.demo`: the gateway at work, from the study to the pictures."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

try:
    from inference_gateway.demo.gateway_process import DemoError
    from inference_gateway.demo.models import MODELS
    from inference_gateway.demo.run import Limits, run_model
    from inference_gateway.demo.sample import write_phantom_series, write_real_images, write_sample_study
except ModuleNotFoundError as missing:
    sys.exit(f"the demo needs {missing.name}: pip install 'dicom-inference-gateway[demo]'")

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("study", required=False, type=_FOLDER)
@click.option("--model", type=click.Choice(list(MODELS)), help="Embedded model.  [default: segmentation-3d]")
@click.option(
    "--output",
    default=Path("demo-output"),
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for what comes back; one folder in it for each model.",
)
@click.option("--start-limit", default=120.0, show_default=True, help="Seconds for the gateway to be ready.")
@click.option("--answer-limit", default=600.0, show_default=True, help="Seconds for the answer to come.")
def main(
    study: Path | None, model: str | None, output: Path, start_limit: float, answer_limit: float
) -> None:
    """Send a study through the gateway and write what a model finds in it as arrays and pictures.

    STUDY is a folder with DICOM files. Without it a sample study is sent: a made CT series with a lesion
    and real images. Without STUDY and --model, the series goes through segmentation-3d and the real images
    through segmentation-2d.
    """
    limits = Limits(start_limit, answer_limit)
    try:
        with TemporaryDirectory(prefix="inference-gateway-demo-") as made:
            for name, gather in _runs(study, model, Path(made)).items():
                run_model(name, gather, output / name, limits)
    except (DemoError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _runs(study: Path | None, model: str | None, made: Path) -> dict[str, Callable[[], list[Path]]]:
    """Return the models to run, each with what gathers its study; `made` is for studies that are made."""
    if study is not None:
        return {model or "segmentation-3d": lambda: [study]}
    if model is not None:
        return {model: partial(write_sample_study, made)}
    return {
        "segmentation-3d": partial(write_phantom_series, made / "phantom"),
        "segmentation-2d": partial(write_real_images, made / "real"),
    }


def _interrupted(signal_number: int, frame: object) -> None:
    """End as on Ctrl-C: the gateway that was started is stopped on the way out."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupted)
    main(prog_name="python -m inference_gateway.demo")
