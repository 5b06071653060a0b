"""The command `inference-gateway`.

What only `serve` and `settings` need is imported there: `infer` and `check` go without a server's memory.
"""

from __future__ import annotations

import importlib
import inspect
import os
import signal
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from inference_gateway.settings import Settings

_PASSWORD_VARIABLE = "GATEWAY_SSL_KEYFILE_PASSWORD"  # noqa: S105 - the name of it


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dicom-inference-gateway")
def main() -> None:
    """Put a medical-imaging model behind HTTP.

    \b
    inference-gateway serve my_model:model     your callback, on http://127.0.0.1:8000/
    inference-gateway serve demo:segmentation-3d
    inference-gateway infer study/             send a study, see what the model does to it
    inference-gateway check http://host:8000   whether a running gateway keeps the wire contract
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


@main.command()
@click.argument("target")
@click.option(
    "--host",
    default="127.0.0.1",
    envvar="GATEWAY_HOST",
    show_default=True,
    show_envvar=True,
    help="Address to listen on; 0.0.0.0 for all.",
)
@click.option(
    "--port",
    default=8000,
    envvar="GATEWAY_PORT",
    type=click.IntRange(0, 65535),
    show_default=True,
    show_envvar=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--workers",
    default=1,
    envvar="GATEWAY_WORKERS",
    type=click.IntRange(1),
    show_default=True,
    show_envvar=True,
    help="Processes, each with its own copy of the model and its own limits.",
)
@click.option("--worker", nargs=3, type=int, hidden=True)
@click.option(
    "--isolation",
    envvar="GATEWAY_ISOLATION",
    show_envvar=True,
    type=click.Choice(["thread", "process"]),
    help="Where a bare callback or class runs: on threads of the gateway (the default), or in processes of "
    "its own, which are ended at the deadline. Only they import TARGET then.",
)
@click.option(
    "--devices",
    envvar="GATEWAY_DEVICES",
    show_envvar=True,
    help="Such as cuda:0,cuda:1: one call at a time on each; a model process sees only its own.",
)
@click.option("--route", default="/", show_default=True, help="Route of a bare callback or class.")
@click.option(
    "--log-level",
    default="INFO",
    show_default=True,
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
)
@click.option("--ssl-certfile", type=click.Path(exists=True, dir_okay=False), help="TLS certificate, PEM.")
@click.option(
    "--ssl-keyfile",
    type=click.Path(exists=True, dir_okay=False),
    help="Its key, PEM; by default in the same file.",
)
@click.option(
    "--ssl-keyfile-password",
    envvar=_PASSWORD_VARIABLE,
    show_envvar=True,
    help="Of the key, where it has one; other users may see options, but not the environment.",
)
@click.option("--ssl-ciphers", help="TLS 1.2 ciphers in OpenSSL's form; its defaults are good.")
@click.option(
    "--ssl-ca-certs",
    type=click.Path(exists=True, dir_okay=False),
    help="CA certificates: clients must show one of theirs (mutual TLS).",
)
@click.pass_context
def serve(
    context: click.Context,
    /,
    target: str,
    host: str,
    port: int,
    workers: int,
    worker: tuple[int, int, int] | None,
    isolation: str | None,
    devices: str | None,
    route: str,
    log_level: str,
    **tls: str | None,
) -> None:
    """Serve TARGET until SIGTERM or Ctrl-C.

    \b
    my_model:model     a callback model(json_input, inputs, input_hash), or a class
    my_model:app       a Gateway with its own routes
    demo:NAME          an embedded model (extra "demo"), such as demo:segmentation-3d

    Limits are set by environment variables: see `inference-gateway settings`. Exit code 0 after a signal, 2
    where TARGET or a setting is wrong, 3 where the service could not start. Ctrl-C while TARGET is being
    imported ends it by that signal.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the server listens for it: importing a model may take long, and swallow KeyboardInterrupt.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from inference_gateway.app.gateway import Gateway
    from inference_gateway.errors import SetupFailed
    from inference_gateway.serving.server import make_server
    from inference_gateway.serving.supervisor import supervise
    from inference_gateway.telemetry.logs import configure_logging

    settings = _settings()
    options = _tls_options(tls)
    configure_logging(settings.log_format, log_level.upper())
    if worker is None and (workers > 1 or os.getpid() == 1):  # process 1 has to reap: it runs no model
        code = supervise(
            _worker_arguments(context),
            host=host,
            port=port,
            scheme="https" if options else "http",
            workers=workers,
            drain_timeout=settings.drain_timeout,
            worker_timeout=settings.worker_timeout,
        )
        sys.exit(code)
    if worker is not None:  # until the server listens for it: its parent says when to end
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    places = [device.strip() for device in (devices or "").split(",") if device.strip()]
    if isolation == "process":
        app = _in_processes(target, route, settings, places)
    else:
        app = _application(target, route, settings, places)
    try:
        server = make_server(app, host=host, port=port, **options)
    except SetupFailed as error:
        raise click.ClickException(str(error)) from None
    sockets = None
    if worker is not None:
        number, listener, pipe = worker
        for descriptor in (listener, pipe):
            os.set_inheritable(descriptor, False)
        sockets = [socket.socket(fileno=listener)]
        if isinstance(app, Gateway):
            app.metrics.worker = number
        server.supervise(pipe)
    try:
        server.config.load()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise click.UsageError(
            f"the certificate, its key or the CA certificates cannot be used: {error}"
        ) from None
    server.run(sockets)
    server.exit()


def _tls_options(tls: dict[str, str | None]) -> dict[str, Any]:
    """For uvicorn. Raises `click.UsageError` for options that would leave the connection without TLS."""
    options: dict[str, Any] = {name: value for name, value in tls.items() if value is not None}
    if options.keys() - {"ssl_keyfile_password"} and "ssl_certfile" not in options:
        raise click.UsageError("TLS needs a certificate: name it with --ssl-certfile")
    if "ssl_certfile" not in options:
        return {}
    if "ssl_ca_certs" in options:
        options["ssl_cert_reqs"] = ssl.CERT_REQUIRED
    return options


def _worker_arguments(context: click.Context) -> list[str]:
    """Return what this command was called with, for a worker of it."""
    if context.params["ssl_keyfile_password"] is not None:
        os.environ[_PASSWORD_VARIABLE] = context.params["ssl_keyfile_password"]
    own = ("target", "worker", "workers", "ssl_keyfile_password")
    given = {name: value for name, value in context.params.items() if name not in own and value is not None}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    return [*options, context.params["target"]]


@main.command("settings")
def show_settings() -> None:
    """Print every setting: its environment variable, value now, and what it is for."""
    settings = _settings()
    rows = [
        (_variable(field.validation_alias or name), str(getattr(settings, name)), field.description or "")
        for name, field in type(settings).model_fields.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, description in rows:
        click.echo(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {description}")


def _variable(name: object) -> str:
    """Return the environment variable of a setting, by its name or by that variable's own."""
    return f"GATEWAY_{str(name).upper().removeprefix('GATEWAY_')}"


def _settings() -> Settings:
    from pydantic import ValidationError

    from inference_gateway.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"  {_variable('_'.join(str(part) for part in item['loc']))}: {item['msg']}"
            for item in error.errors()
        ]
        raise click.UsageError(
            "a setting is wrong:\n" + "\n".join(lines) + "\nSee: inference-gateway settings"
        ) from None


def _in_processes(target: str, route: str, settings: Settings, devices: list[str]) -> Any:
    """Return the gateway of a model that this process does not import."""
    from inference_gateway.app.gateway import Gateway
    from inference_gateway.execution.slots import Slots
    from inference_gateway.serving.target import named

    module, name = named(target)
    model: Any = _demo_model(name) if module == "demo" else target
    gateway = Gateway(settings=settings)
    slots = Slots(devices=devices) if devices else None
    gateway.add_inference_route(route, model, name=target, isolation="process", slots=slots)
    return gateway


def _application(target: str, route: str, settings: Settings, devices: list[str]) -> Any:
    from starlette.applications import Starlette

    from inference_gateway.app.gateway import Gateway
    from inference_gateway.errors import UnusableModel
    from inference_gateway.execution.slots import Slots
    from inference_gateway.serving.target import not_made, resolve

    module, _, name = target.partition(":")
    found = _demo_model(name) if module == "demo" and name else resolve(target)
    if isinstance(found, Starlette) or _is_asgi(found):
        return found
    no_model = inspect.isclass(found) and not any("__call__" in base.__dict__ for base in found.__mro__)
    if no_model or not callable(found):
        raise click.UsageError(f"{target} is a {type(found).__name__}: name a callback, a class or a Gateway")
    gateway = Gateway(settings=settings)
    slots = Slots(devices=devices) if devices else None
    try:
        gateway.add_inference_route(route, found, name=target, isolation="thread", slots=slots)
    except UnusableModel as error:
        raise click.UsageError(str(error)) from None
    except Exception as error:
        raise not_made(target, error) from None
    return gateway


def _is_asgi(found: Any) -> bool:
    call = found if inspect.isroutine(found) else getattr(type(found), "__call__", None)  # noqa: B004 - asked for its signature
    try:
        names = [name for name in inspect.signature(call or found).parameters if name != "self"]
    except (TypeError, ValueError):
        return False
    return names == ["scope", "receive", "send"]


def _demo_model(name: str) -> Any:
    try:
        from inference_gateway.demo.models import get_model
    except ImportError as error:
        raise click.UsageError(
            f"the demo models need {error.name}: pip install 'dicom-inference-gateway[demo]'"
        ) from None
    try:
        return get_model(name)
    except LookupError as error:
        raise click.UsageError(str(error.args[0])) from None


if __name__ == "__main__":
    main()
