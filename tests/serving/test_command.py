"""The command `inference-gateway serve`: what it says, what it serves, and what it refuses."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from inference_gateway.cli import main
from tests.harness.process import Process, serve_command
from tests.harness.raw import Answer, exchange, head, request
from tests.harness.serving import Run, check_ok
from tests.harness.wire import check_problem, check_reply, digest, message, part

POST = request(((b"Content-Type", b"multipart/related; boundary=bnd"),), message(part(b"[1, 2]")))
MODULE = """
from inference_gateway import Gateway

def model(json_input, inputs, input_hash):
    return {"function": json_input}

class Model:
    def __call__(self, json_input, inputs, input_hash):
        return {"class": json_input}

instance = Model()

class Namespace:
    nested = instance

app = Gateway()
app.add_inference_route("/own", model)

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"asgi"})

class Asgi:
    async def __call__(self, scope, receive, send):
        await asgi(scope, receive, send)

asgi_instance = Asgi()

def two_arguments(json_input, inputs):
    return {}

class Needs:
    def __init__(self, weights):
        pass

    def __call__(self, json_input, inputs, input_hash):
        return {}
class Fails:
    def __init__(self):
        raise FileNotFoundError("no weights here")

    def __call__(self, json_input, inputs, input_hash):
        return {}
number = 7
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_model.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("def model(:\n")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Iterator[Run]:
    with ExitStack() as stack:

        def start(target: str, *options: str, **settings: object) -> Process:
            command = serve_command(target, *options)
            process = Process(folder, command, **{"spool_dir": folder, **settings})
            stack.callback(process.close)
            return process

        yield start


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "inference_gateway.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


# What it says


def test_help_of_serve() -> None:
    result = CliRunner().invoke(main, ["serve", "--help"])
    assert result.exit_code == 0
    for word in (
        "my_model:model",
        "my_model:app",
        "demo:NAME",
        "--host",
        "--port",
        "--route",
        "--ssl-certfile",
    ):
        assert word in result.output
    for word in ("GATEWAY_HOST", "GATEWAY_PORT", "127.0.0.1", "8000"):
        assert word in result.output


# What it serves


def reply(answer: Answer | None, value: object) -> None:
    check_reply(answer, value, [], digest(b"[1, 2]"))


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("my_model:model", "function"),
        ("my_model:Model", "class"),
        ("my_model:Namespace.nested", "class"),
    ],
)
@pytest.mark.slow
def test_a_callback_or_a_class(target: str, key: str, run: Run) -> None:
    process = run(target)
    reply(exchange(process.address, POST), {key: [1, 2]})


@pytest.mark.slow
def test_a_route_of_ones_own(run: Run) -> None:
    process = run("my_model:instance", "--route", "/infer")
    reply(exchange(process.address, POST.replace(b"POST / ", b"POST /infer ")), {"class": [1, 2]})
    check_problem(exchange(process.address, POST), 404)


@pytest.mark.slow
def test_a_gateway_with_its_own_routes(run: Run) -> None:
    process = run("my_model:app")
    reply(exchange(process.address, POST.replace(b"POST / ", b"POST /own ")), {"function": [1, 2]})
    check_problem(exchange(process.address, POST), 404)


@pytest.mark.parametrize("target", ["my_model:asgi", "my_model:asgi_instance"])
@pytest.mark.slow
def test_another_asgi_application(target: str, run: Run) -> None:
    process = run(target)
    assert check_ok(exchange(process.address, head((), method=b"GET"))).body == b"asgi"


@pytest.mark.slow
def test_settings_hold_for_what_is_served(run: Run) -> None:
    process = run("my_model:model", max_body_bytes="20B")
    check_problem(exchange(process.address, POST), 413)


# What it refuses


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("no_such_module:model", "no module 'no_such_module'"),
        ("my_model:number", "int"),
        ("my_model:Namespace", "my_model:Namespace"),
        ("my_model:two_arguments", "two_arguments(json_input, inputs) cannot be called as"),
        ("my_model:Needs", "Needs(weights) cannot be called as"),
        ("demo:none-such", "segmentation-3d"),
        ("demo:", "module:object"),
    ],
)
@pytest.mark.slow
def test_a_wrong_target_gets_a_sentence(target: str, says: str, folder: Path) -> None:
    done = command(folder, "serve", target)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.slow
def test_a_module_that_does_not_import_shows_where(workers: str, folder: Path) -> None:
    done = command(folder, "serve", "broken:model", "--workers", workers, "--port", "0")
    assert done.returncode == 2
    assert 'broken.py", line 1' in done.stderr
    assert "Error: broken cannot be imported (SyntaxError)" in done.stderr


@pytest.mark.slow
def test_a_class_whose_constructor_fails_shows_where(folder: Path) -> None:
    done = command(folder, "serve", "my_model:Fails", "--port", "0")
    assert done.returncode == 2
    assert "no weights here" in done.stderr
    assert "Error: my_model:Fails() failed (FileNotFoundError)" in done.stderr
    assert "inference_gateway" not in done.stderr


@pytest.mark.parametrize("swallow", ["pass", "raise ImportError('cannot load') from None"])
@pytest.mark.parametrize("where", ["import", "constructor"])
@pytest.mark.slow
def test_ctrl_c_before_the_server_listens_ends_by_that_signal(
    where: str, swallow: str, run: Run, folder: Path
) -> None:
    """Whatever a library makes of KeyboardInterrupt."""
    body = f"""
        import sys, threading
        print("is importing", file=sys.stderr, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            {swallow}
    """
    lines = [line.removeprefix(" " * 8) for line in body.splitlines()]
    if where == "constructor":
        lines = [
            *("class model:", "    def __call__(self, json_input, inputs, input_hash): ..."),
            *("    def __init__(self):", *(f"        {line}" for line in lines)),
        ]
    (folder / "slow.py").write_text("\n".join(lines))
    process = run("slow:model")
    process.wait_line("is importing")
    process.popen.send_signal(signal.SIGINT)
    assert process.wait() == -signal.SIGINT
    assert process.lines == ["is importing"]


@pytest.mark.slow
def test_one_line_says_that_the_models_are_set_up(run: Run) -> None:
    process = run("my_model:model", "--route", "/infer")
    process.wait_line("the models are set up: POST to /infer$")
    process.popen.terminate()
    process.wait()
    assert process.log.count("set up") == 1


@pytest.mark.slow
def test_a_demo_without_its_extra_says_what_to_install(folder: Path) -> None:
    missing = "raise ModuleNotFoundError(\"No module named 'pydicom'\", name='pydicom')\n"
    (folder / "pydicom.py").write_text(missing)
    done = command(folder, "serve", "demo:segmentation-3d")
    assert done.returncode == 2
    assert "pydicom" in done.stderr
    assert "pip install 'dicom-inference-gateway[demo]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_unknown_demo_lists_all_of_them(folder: Path) -> None:
    from inference_gateway.demo.models import MODELS

    done = command(folder, "serve", "demo:none-such")
    assert done.returncode == 2
    for name in MODELS:
        assert name in done.stderr


# Models in processes of their own


@pytest.mark.slow
def test_only_the_models_process_imports_the_target(run: Run, folder: Path) -> None:
    (folder / "where.py").write_text(
        "import os\nprint(f'imported by {os.getpid()}', flush=True, file=__import__('sys').stderr)\n"
        "def model(json_input, inputs, input_hash):\n    return {'pid': os.getpid()}\n"
    )
    process = run("where:model", "--isolation", "process")
    found = process.wait_line(r"imported by (\d+)")
    assert int(found[1]) != process.popen.pid
    process.wait_line("the models are set up")
    process.popen.terminate()
    assert process.wait() == 0
    assert process.log.count("imported by") == 1


@pytest.mark.slow
def test_each_device_has_a_process(run: Run, folder: Path) -> None:
    (folder / "where.py").write_text(
        "import os\nos.write(2, b'sees %s\\n' % os.environb[b'CUDA_VISIBLE_DEVICES'])\n"
        "def model(json_input, inputs, input_hash):\n    return {}\n"
    )
    process = run("where:model", "--isolation", "process", "--devices", "cuda:0, cuda:1")
    process.wait_line("the models are set up")
    process.wait_log(lambda: sorted(re.findall(r"sees (\d)", process.log)) == ["0", "1"], "each device")
    process.popen.terminate()
    assert process.wait() == 0


@pytest.mark.parametrize("options", [("--isolation", "process"), ()])
@pytest.mark.slow
def test_an_application_has_no_process_of_its_own(options: tuple[str, ...], folder: Path) -> None:
    """By the option and by the variable."""
    environment = {**os.environ, "GATEWAY_ISOLATION": "process", "GATEWAY_SPOOL_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "inference_gateway.cli", "serve", "my_model:app", "--port", "0", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert "is an application, not a model" in done.stderr


# Batches


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_target_that_takes_batches(isolation: str, run: Run, folder: Path) -> None:
    (folder / "single.py").write_text(
        "def model(requests):\n    return [{'number': each.json_input} for each in requests]\n"
    )
    options = ("--isolation", isolation, "--max-batch-size", "4", "--max-batch-wait", "0")
    process = run("single:model", *options)
    process.wait_line("the models are set up")
    reply(exchange(process.address, POST), {"number": [1, 2]})
    process.popen.terminate()
    assert process.wait() == 0
    assert '"batch_size": 1' in process.log


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("my_model:model", ("--max-batch-size", "4"), "cannot be called as my_model:model(requests)"),
        ("single:model", ("--max-batch-size", "4", "--max-batch-wait", "600"), "max_batch_wait"),
        ("single:model", ("--max-batch-size", "0"), "0 is not in the range"),
        ("single:model", (), "cannot be called as single:model(json_input, inputs, input_hash)"),
    ],
)
def test_a_target_that_takes_no_batches(
    target: str, options: tuple[str, ...], said: str, folder: Path
) -> None:
    (folder / "single.py").write_text("def model(requests):\n    return []\n")
    done = command(folder, "serve", target, *options)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
