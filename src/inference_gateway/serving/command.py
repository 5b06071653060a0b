"""The command `inference-gateway serve`: its options, and how it ends.

What it needs is imported when it is called: `infer` and `check` go without a server's memory.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inference_gateway.telemetry.logs import logger

if TYPE_CHECKING:
    from inference_gateway.settings import Settings

_PASSWORD_VARIABLE = "GATEWAY_SSL_KEYFILE_PASSWORD"  # noqa: S105 - the name of it


@click.command()
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
@click.option(
    "--dev",
    is_flag=True,
    help="For the model's author, on this machine only: start again when a Python file changes, show "
    'tracebacks of the model in answers, keep the report of the last request (extra "author").',
)
@click.option("--worker", nargs=3, type=int, hidden=True)
@click.option("--counts", type=int, hidden=True)
@click.option("--reports", hidden=True)
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
@click.option(
    "--engine",
    envvar="GATEWAY_ENGINE",
    show_envvar=True,
    type=click.Choice(["ray"]),
    help="A bare callback or class runs in actors of the Ray cluster that this machine is a node of (extra "
    '"ray"). Only they import TARGET then.',
)
@click.option(
    "--actors",
    default="1",
    envvar="GATEWAY_ACTORS",
    show_default=True,
    show_envvar=True,
    help="With --engine: how many, such as 2, or the least and the most, such as 1-8.",
)
@click.option(
    "--num-gpus",
    default=0.0,
    envvar="GATEWAY_NUM_GPUS",
    show_default=True,
    show_envvar=True,
    type=click.FloatRange(0),
    help="With --engine: GPUs of each actor.",
)
@click.option(
    "--max-batch-size",
    envvar="GATEWAY_MAX_BATCH_SIZE",
    show_envvar=True,
    type=click.IntRange(1),
    help="A bare callback or class is model(requests), called with up to so many requests at once.",
)
@click.option(
    "--max-batch-wait",
    default=0.01,
    envvar="GATEWAY_MAX_BATCH_WAIT",
    show_default=True,
    show_envvar=True,
    type=click.FloatRange(0),
    help="Seconds that a free slot waits for more requests of a batch.",
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
    dev: bool,
    worker: tuple[int, int, int] | None,
    counts: int | None,
    reports: str | None,
    isolation: str | None,
    devices: str | None,
    engine: str | None,
    actors: str,
    num_gpus: float,
    max_batch_size: int | None,
    max_batch_wait: float,
    route: str,
    log_level: str,
    **tls: str | None,
) -> None:
    """Serve TARGET until SIGTERM or Ctrl-C.

    \b
    my_model:model     a callback model(json_input, inputs, input_hash), or a class
    my_model:app       a Gateway with its own routes
    demo:NAME          an embedded model (extra "demo"), such as demo:segmentation-3d

    While you write the model: inference-gateway serve --dev my_model:model

    Limits are set by environment variables: see `inference-gateway settings`. Exit code 0 after a signal, 2
    where TARGET or a setting is wrong, 3 where the service could not start. Ctrl-C while TARGET is being
    imported ends it by that signal.
    """
    if dev:
        _check_author(host, workers)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the server listens for it: importing a model may take long, and swallow KeyboardInterrupt.
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from inference_gateway.errors import SetupFailed, UnusableModel
    from inference_gateway.serving.application import application, in_processes, on_ray
    from inference_gateway.serving.server import make_server
    from inference_gateway.serving.supervisor import supervise
    from inference_gateway.telemetry import sheets
    from inference_gateway.telemetry.logs import configure_logging

    settings = settings_of_environment()
    options = _tls_options(tls)
    configure_logging(settings.log_format, log_level.upper())
    scheme = "https" if options else "http"
    if dev:
        from inference_gateway.serving.reloading import serve_and_reload

        sys.exit(serve_and_reload(_worker_arguments(context), host=host, port=port, scheme=scheme))
    if worker is None and (workers > 1 or os.getpid() == 1):  # process 1 has to reap: it runs no model
        code = supervise(
            _worker_arguments(context),
            host=host,
            port=port,
            scheme=scheme,
            workers=workers,
            drain_timeout=settings.drain_timeout,
            worker_timeout=settings.worker_timeout,
        )
        sys.exit(code)
    if worker is not None:  # until the server listens for it: its parent says when to end
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if counts is not None:  # before there is an application that counts
            sheets.join(counts, worker[0])
    places = [device.strip() for device in (devices or "").split(",") if device.strip()]
    batches = {"max_batch_size": max_batch_size, "max_batch_wait": max_batch_wait}
    make = in_processes if isolation == "process" else application
    try:
        if engine is not None:
            if isolation is not None or places:
                raise click.UsageError("--engine goes without --isolation and --devices")
            app = on_ray(target, route, settings, _range(actors), num_gpus, **batches)
        else:
            app = make(target, route, settings, places, **batches)
        if reports is not None and worker is not None:
            _show_author(app, Path(reports))
        server = make_server(app, host=host, port=port, **options)
    except UnusableModel as error:
        raise click.UsageError(str(error)) from None
    except SetupFailed as error:
        raise click.ClickException(str(error)) from None
    sockets = None
    if worker is not None:
        _, listener, pipe = worker
        for descriptor in (listener, pipe):
            os.set_inheritable(descriptor, False)
        sockets = [socket.socket(fileno=listener)]
        server.supervise(pipe)
    try:
        server.config.load()
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise click.UsageError(
            f"the certificate, its key or the CA certificates cannot be used: {error}"
        ) from None
    server.run(sockets)
    server.exit()


def _range(actors: str) -> tuple[int, int]:
    """Return the least and the most of `2` or `1-8`. Raises `click.UsageError`."""
    least, _, most = actors.partition("-")
    try:
        return int(least), int(most or least)
    except ValueError:
        raise click.UsageError(f"--actors is a number, or two such as 1-8, not {actors!r}") from None


def _check_author(host: str, workers: int) -> None:
    """Raise `click.UsageError` where others could see what only the model's author may see."""
    try:
        from inference_gateway.serving.reloading import only_here
    except ModuleNotFoundError as error:
        raise click.UsageError(str(error)) from None
    if not only_here(host):
        raise click.UsageError(
            f"--dev shows tracebacks and keeps the last study, and others can reach {host}: leave out --host "
            "and GATEWAY_HOST, so that it serves this machine only, or leave out --dev"
        )
    if workers > 1:
        raise click.UsageError("--dev runs one process: leave out --workers and GATEWAY_WORKERS, or --dev")


def _show_author(app: Any, reports: Path) -> None:
    """Have a gateway show its author what it keeps from others."""
    from inference_gateway.app.failures import told_to_author
    from inference_gateway.app.gateway import Gateway

    if not isinstance(app, Gateway):
        logger.warning("this application is no Gateway: no tracebacks in its answers, and no reports")
        return
    app.on_failure(told_to_author)
    try:
        from inference_gateway.serving.last_report import LastReport
    except ModuleNotFoundError as error:
        logger.warning("there will be no reports: %s", error)
    else:
        app.add_middleware(LastReport, folder=reports, settings=app.settings)


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
    own = ("target", "dev", "worker", "counts", "reports", "workers", "ssl_keyfile_password")
    given = {name: value for name, value in context.params.items() if name not in own and value is not None}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    return [*options, context.params["target"]]


def variable_of(name: object) -> str:
    """Return the environment variable of a setting, by its name or by that variable's own."""
    return f"GATEWAY_{str(name).upper().removeprefix('GATEWAY_')}"


def settings_of_environment() -> Settings:
    """Read the settings. Raises `click.UsageError` with the name of what is wrong."""
    from pydantic import ValidationError

    from inference_gateway.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"  {variable_of('_'.join(str(part) for part in item['loc']))}: {item['msg']}"
            for item in error.errors()
        ]
        raise click.UsageError(
            "a setting is wrong:\n" + "\n".join(lines) + "\nSee: inference-gateway settings"
        ) from None
