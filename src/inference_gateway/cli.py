"""The command `inference-gateway`: its group of commands.

What only `settings` needs is imported there: `infer` and `check` go without a server's memory.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

from inference_gateway.audit.command import audit
from inference_gateway.serving.command import serve, settings_of_environment, variable_of


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dicom-inference-gateway")
def main() -> None:
    """Put a medical-imaging model behind HTTP.

    \b
    inference-gateway init my-model            a new model to begin with; `serve --dev` while you write it
    inference-gateway serve my_model:model     your callback, on http://127.0.0.1:8000/
    inference-gateway serve demo:segmentation-3d
    inference-gateway infer study/             send a study, see what the model does to it
    inference-gateway check http://host:8000   whether a running gateway keeps the wire contract
    inference-gateway audit verify FOLDER      whether an audit log is as the gateway wrote it
    inference-gateway settings                 every limit, its value and its reason
    """


class _Later(click.Command):
    """A command of another module, imported when it is called: it needs an extra."""

    def __init__(self, name: str, module: str, extra: str, short_help: str) -> None:
        super().__init__(name, short_help=short_help)
        self._module, self._extra = module, extra

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            command: click.Command = getattr(importlib.import_module(self._module), str(self.name))
        except ModuleNotFoundError as error:
            raise click.UsageError(
                f"{self.name} needs {error.name}: pip install 'dicom-inference-gateway[{self._extra}]'"
            ) from None
        return command.make_context(info_name, args, parent, **extra)


main.add_command(
    _Later("check", "inference_gateway.check.command", "dicom", "Check whether a gateway keeps the contract.")
)
main.add_command(
    _Later("infer", "inference_gateway.infer.command", "infer", "Send a study to a model; see what it finds.")
)
main.add_command(
    _Later("init", "inference_gateway.init.command", "author", "Write the folder of a new model.")
)
main.add_command(
    _Later("sample", "inference_gateway.init.command", "author", "Write a made study to try a model with.")
)
main.add_command(serve)
main.add_command(audit)


@main.command("settings")
def show_settings() -> None:
    """Print every setting: its environment variable, value now, and what it is for."""
    settings = settings_of_environment()
    rows = [
        (variable_of(field.validation_alias or name), str(getattr(settings, name)), field.description or "")
        for name, field in type(settings).model_fields.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, description in rows:
        click.echo(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {description}")


if __name__ == "__main__":
    main()
