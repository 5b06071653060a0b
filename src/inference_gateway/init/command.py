"""`init` writes the folder of a new model, `sample` a made study to try it with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import click


class Template(NamedTuple):
    """A model to begin with: what it is, what is served of it, and the folder of weights in its image."""

    what: str
    target: str = "model:model"
    weights: str = ""


TEMPLATES = {
    "segmentation-3d": Template("a mask of a volume"),
    "classification": Template("labels for each series"),
    "boxes": Template("boxes in each image"),
    "nnunet": Template("the folder of a trained nnU-Net", "model:Model", "nnunet"),
    "monai": Template("a MONAI bundle", "model:Model", "bundle"),
    "torch": Template("a PyTorch network", "model:Model"),
}
"""What there is to begin with."""

_FOLDER = click.Path(path_type=Path)


@click.command(
    epilog="\b\nTemplates:\n" + "\n".join(f"  {name:16}{one.what}" for name, one in TEMPLATES.items())
)
@click.argument("folder", type=_FOLDER)
@click.option(
    "-t",
    "--template",
    type=click.Choice(list(TEMPLATES)),
    default="segmentation-3d",
    show_default=True,
    help="What the model is like.",
)
def init(folder: Path, template: str) -> None:
    """Write a new model into FOLDER: four files that serve, test and build as they are.

    \b
    model.py           the model: a callback that reads a study, and your part of it
    test_model.py      its test, on a made study, as the gateway would call it
    requirements.txt   the packages that it needs
    Dockerfile         its image

    \b
    inference-gateway init my-model --template boxes
    cd my-model
    inference-gateway serve --dev model:model    (or model:Model: init says which) while you write it
    inference-gateway sample study               in another terminal; or take a study of your own
    inference-gateway infer study                sends it, and draws what the model finds
    pytest                                       tests it
    docker build -t my-model .                   makes its image

    No file is ever overwritten.
    """
    written = _files_of(template)
    _write(folder, written)
    into = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))}\n"
    click.echo(
        f"{folder}: {', '.join(written)}\n\n"
        f"{into}inference-gateway serve --dev {TEMPLATES[template].target}\n\n"
        "From another terminal, with a study of yours instead of the made one if you have one:\n\n"
        f"{into}inference-gateway sample study\ninference-gateway infer study\n\n"
        "The README of the project and docs/models.md go on from there."
    )


def _files_of(template: str) -> dict[str, bytes]:
    """Return the files of a template by their names; the Dockerfile is one for all of them."""
    source = files("inference_gateway.init") / "templates"
    _, target, weights = TEMPLATES[template]
    image = (source / "Dockerfile").read_text().replace("model:model", target)
    if weights:
        image = image.replace("COPY model.py .", f"COPY {weights} {weights}\nCOPY model.py .")
    found = {one.name: one.read_bytes() for one in (source / template).iterdir() if one.is_file()}
    return dict(sorted({**found, "Dockerfile": image.encode()}.items()))


def _write(folder: Path, written: Mapping[str, bytes]) -> None:
    """Write the files. Raises `click.ClickException` where one is there already or cannot be written."""
    there = [name for name in written if (folder / name).exists()]
    if there:
        raise click.UsageError(
            f"{folder} has {', '.join(there)} already, and nothing was written: name another folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in written.items():
            with (folder / name).open("xb") as file:
                file.write(content)
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or folder} cannot be written ({error.strerror}): name another folder"
        ) from None


@click.command()
@click.argument("folder", type=_FOLDER)
def sample(folder: Path) -> None:
    """Write a made study into FOLDER: a CT series of 48 images with lungs, bones and a lesion.

    \b
    inference-gateway sample study
    inference-gateway infer study
    """
    try:
        from inference_gateway.demo.sample import write_phantom_series
    except ModuleNotFoundError as error:
        raise click.UsageError(str(error)) from None
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.UsageError(f"{folder} is there already and not empty: name another folder")
    try:
        count = len(write_phantom_series(folder))
    except OSError as error:
        raise click.ClickException(
            f"{folder} cannot be written ({error.strerror}): name another folder"
        ) from None
    click.echo(f"{count} images in {folder}")
