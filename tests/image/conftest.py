"""The image, as `make image` builds it; where no registry is, over a base that stands in for the official."""

import os
import resource
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
BASE = "docker.io/library/python:3.15-slim"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what `make image-test` runs, unless it is asked for: minutes, and root rights."""
    if "image" in config.option.markexpr:
        return
    skipped = pytest.mark.skip(reason="builds the image and runs it: make image-test")
    for item in items:
        if item.get_closest_marker("image"):
            item.add_marker(skipped)


@dataclass(frozen=True)
class Tool:
    """What runs containers here: a command, and the options of its `run` that this machine wants."""

    command: tuple[str, ...]
    run_options: tuple[str, ...] = ()

    def __call__(self, *arguments: str, check: bool = True) -> str:
        """Run the tool, and return what it prints; what goes wrong is in the assertion."""
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{shlex.join(done.args)}\n{done.stdout}{done.stderr}"
        return done.stdout if done.returncode == 0 else ""

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run a container."""
        return self("run", *self.run_options, *arguments, check=check)

    def works_with(self, image: str) -> bool:
        """Whether a container of `image` starts."""
        return (
            self.run("--rm", "--network=host", image, "python3", "-c", "print('runs')", check=False)
            == "runs\n"
        )


def candidates() -> Sequence[Tool]:
    """Return the tools that may run containers: as they are, and where the machine is itself a container."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    bounded = (f"--ulimit=nofile={files}:{files}", "--ulimit=nproc=1024:1024")
    return [Tool(("docker",)), Tool(("podman",)), Tool(("podman", "--runtime=runc"), bounded)]


@pytest.fixture(scope="session")
def tool() -> Tool:
    """What runs containers here, with the base in its store."""
    there = [each for each in candidates() if shutil.which(each.command[0]) and each("info", check=False)]
    for each in there:
        if each("image", "inspect", BASE, check=False) or each("pull", BASE, check=False):
            if each.works_with(BASE):
                return each
        elif shutil.which("buildah") and shutil.which("debootstrap") and os.geteuid() == 0:
            subprocess.run([HERE / "stand_in.sh", "3.15"], check=True)
            if each.works_with(BASE):
                return each
    pytest.skip("needs docker or podman that runs containers, and the base, or root, buildah and debootstrap")


@pytest.fixture(scope="session")
def make_image(tool: Tool) -> "MakeImage":
    return MakeImage(tool)


@dataclass(frozen=True)
class MakeImage:
    """`make image`, and what is built on top of it."""

    tool: Tool

    def __call__(self, image: str, **arguments: str) -> str:
        """Build with these arguments of `make image`; return the image's name."""
        options = os.environ.get("BUILD_OPTIONS")
        if options is None and self.tool.run_options:  # a container in a container: no namespaces of its own
            options = "--isolation=chroot --pull-never --layers"
        given = {**arguments, "IMAGE": image, "BUILD_OPTIONS": options or ""}
        given.setdefault("CERTIFICATES", os.environ.get("PIP_CERT", ""))
        subprocess.run(
            ["make", "image", *(f"{name}={value}" for name, value in given.items())], cwd=ROOT, check=True
        )
        return image

    def on_top(self, image: str, lines: str, folder: Path) -> str:
        """Build `lines` of a Dockerfile in `folder`; return the image's name."""
        (folder / "Dockerfile").write_text(lines)
        isolated = ["--isolation=chroot", "--format=docker"] if self.tool.run_options else []
        self.tool("build", *isolated, "--tag", image, str(folder))
        return image
