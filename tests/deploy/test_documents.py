"""docs/kubernetes.md and docs/image.md: their examples work, and their tables name what there is."""

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from inference_gateway import Settings
from tests.deploy.rendering import CHART, VALUES, kustomized, render

ROOT = CHART.parents[2]
KUBERNETES = (ROOT / "docs" / "kubernetes.md").read_text()
IMAGE = (ROOT / "docs" / "image.md").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def block(text: str, kind: str, has: str) -> str:
    """The one block of a document that has these words."""
    blocks: list[str] = re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)
    (found,) = (each for each in blocks if has in each)
    return found


def values(options: str) -> dict[str, Any]:
    """What `--set` makes of its options."""
    made: dict[str, Any] = {}
    for name, value in re.findall(r"--set ([\w.]+)=(\S+)", options):
        *above, last = name.split(".")
        place = made
        for each in above:
            place = place.setdefault(each, {})
        place[last] = {"true": True, "false": False}.get(value, int(value) if value.isdigit() else value)
    return made


def test_the_installation_renders() -> None:
    found = {each["kind"]: each for each in render(values(block(KUBERNETES, "sh", "helm install")))}
    assert found["Ingress"]["spec"]["rules"][0]["host"] == "liver.example"
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["liver:Model"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_the_kustomization_builds() -> None:
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        text = block(KUBERNETES, "yaml", "kind: Kustomization").replace("deploy/", "../deploy/")
        Path(folder, "kustomization.yaml").write_text(text)
        found = {each["kind"]: each for each in kustomized(Path(folder))}
    assert found.keys() >= {"Deployment", "Ingress", "ScaledObject", "ServiceMonitor", "PrometheusRule"}
    assert {each["metadata"]["namespace"] for each in found.values()} == {"inference"}
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/liver:2"
    assert "replicas" not in found["Deployment"]["spec"]


def test_the_network_policy_renders() -> None:
    said = yaml.safe_load(block(KUBERNETES, "yaml", "networkPolicy:"))
    (policy,) = (each for each in render(said) if each["kind"] == "NetworkPolicy")
    assert policy["spec"]["egress"] == said["networkPolicy"]["egress"]
    assert policy["spec"]["ingress"][0]["from"] == said["networkPolicy"]["from"]


def test_the_tables_name_the_components_and_the_alerts() -> None:
    rules = yaml.safe_load((CHART / "rules" / "inference-gateway.yaml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    assert set(re.findall(r"`(Gateway[A-Z]\w+)`", KUBERNETES)) == alerts
    components = re.findall(r"^\| \[?`([\w-]+)`.*\| `\w+(?:\.\w+)?(?:: \w+)?` \|", KUBERNETES, re.MULTILINE)
    assert set(components) == {Path(place).name for place in VALUES} - {"base"}


def test_the_numbers_are_those_of_the_chart() -> None:
    said = yaml.safe_load((CHART / "values.yaml").read_text())
    told = dict(re.findall(r"`((?:seconds\.)?\w+): (\d+)`", KUBERNETES))
    for name, value in told.items():
        if name != "gpu.count" and name in {"maxBodyGiB", "spoolGiB"}:
            assert said[name] == int(value)
        elif name.startswith("seconds."):
            assert said["seconds"][name.removeprefix("seconds.")] == int(value)
    assert {"maxBodyGiB", "spoolGiB", *(f"seconds.{name}" for name in said["seconds"])} <= told.keys()
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert (said["seconds"]["queue"], said["seconds"]["drain"]) == (
        settings.queue_timeout,
        settings.drain_timeout,
    )


def test_the_arguments_are_those_of_the_image() -> None:
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^|`]*?)`? \|", IMAGE, re.MULTILINE))
    arguments = dict(re.findall(r"^ARG (\w+)=?(.*)$", DOCKERFILE, re.MULTILINE)[:2])
    arguments |= dict(re.findall(r"^ARG (\w+)=(.*)$", DOCKERFILE, re.MULTILINE))
    assert told.keys() == {*arguments, "IMAGE", "CERTIFICATES", "BUILD_OPTIONS"}
    for name in ("PYTHON_VERSION", "BASE_PYTHON", "EXTRAS"):
        assert told[name] == arguments[name]
    script = (ROOT / "deploy" / "image" / "build.sh").read_text()
    passed = re.search(r"^for name in ([A-Z_ ]+); do$", script, re.MULTILINE)
    assert passed
    assert set(passed[1].split()) == set(arguments)


def test_no_tool_is_an_error_with_its_cause_and_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "dirname").symlink_to("/usr/bin/dirname")
    script = ROOT / "deploy" / "image" / "build.sh"
    environment = {"PATH": str(tmp_path)}
    done = subprocess.run(["/bin/sh", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert "none of them is installed" in done.stderr
    assert "apt-get install" in done.stderr
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit 1\n")
    docker.chmod(0o755)
    done = subprocess.run(["/bin/sh", script], capture_output=True, text=True, env=environment)
    assert "its daemon does not answer" in done.stderr
    podman = tmp_path / "podman"
    podman.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    podman.chmod(0o755)
    given = {**environment, "IMAGE": "mine", "BASE_PACKAGES": "python3 python3-venv", "EXTRAS": ""}
    done = subprocess.run(["/bin/sh", script], capture_output=True, text=True, env=given)
    assert done.stdout.splitlines() == [
        *("build", "--format", "docker", "--tag", "mine"),
        *("--build-arg", "BASE_PACKAGES=python3 python3-venv", "--build-arg", "EXTRAS=", "."),
    ]
