"""The chart as Helm renders it, and deploy/kustomize, whose files are that: `make manifests` writes them."""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "inference-gateway"
KUSTOMIZE = DEPLOY / "kustomize"
RELEASE, NAMESPACE = "inference-gateway", "inference"

VALUES: dict[str, dict[str, Any]] = {
    "base": {},
    "components/hpa": {"autoscaling": {"kind": "hpa"}},
    "components/keda": {"autoscaling": {"kind": "keda"}},
    "components/monitoring": {"monitoring": {"enabled": True}},
    "components/ingress-nginx": {"ingress": {"enabled": True}},
    "components/gateway-api": {"gatewayApi": {"enabled": True}},
    "components/gpu": {"gpu": {"count": 1}},
    "components/api-keys": {"apiKeys": {"secret": "gateway-keys"}},
    "kserve": {"kserve": {"enabled": True}, "gpu": {"count": 1}},
}
"""Each folder of deploy/kustomize, and the values with which the chart renders the same."""

Manifest = dict[str, Any]


def render(values: dict[str, Any]) -> list[Manifest]:
    """Return what Helm makes of the chart: the command where there is one, or else its code as a package."""
    if not (shutil.which("helm") or importlib.util.find_spec("helm_python")):
        pytest.skip("needs helm, or its code as a package: make helm")
    return in_order(each for each in yaml.safe_load_all(_rendered(json.dumps(values))) if each)


@cache
def _rendered(values: str) -> str:
    command = ["helm", "template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", "-"]
    if shutil.which("helm") is None:
        # In a process of its own: Go's runtime stays for good, with its threads and its signal handlers.
        command = [sys.executable, __file__]
    return subprocess.run(command, input=values, capture_output=True, text=True, check=True).stdout


def in_order(manifests: Iterator[Manifest]) -> list[Manifest]:
    """Return them as they can be compared."""
    return sorted(manifests, key=lambda each: (each["kind"], each["metadata"]["name"]))


def committed(folder: Path) -> list[Manifest]:
    """Return what a kustomization lists as resources."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text()).get("resources", [])
    return in_order(
        each for name in listed for each in yaml.safe_load_all((folder / name).read_text()) if each
    )


def kustomized(folder: Path) -> list[Manifest]:
    """Return what kustomize makes of a folder."""
    command = ["kustomize", "build"] if shutil.which("kustomize") else ["kubectl", "kustomize"]
    if shutil.which(command[0]) is None:
        pytest.skip("needs kustomize or kubectl")
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=True)
    return in_order(yaml.safe_load_all(done.stdout))


def _native(values: dict[str, Any]) -> str:
    import helm_python

    with helm_python.Chart.load(str(CHART)) as chart:
        rendered = chart.render(values, name=RELEASE, namespace=NAMESPACE)
    return "\n---\n".join(text for text in rendered.values() if text.strip())


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # it has no types
    """Texts of several lines stay so."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _write() -> None:
    """Write each object that the values of a folder add to the base into a file named by its kind."""
    base = render({})
    for place, values in VALUES.items():
        folder = KUSTOMIZE / place
        folder.mkdir(parents=True, exist_ok=True)
        kinds = {(each["kind"], each["metadata"]["name"]) for each in base if place.startswith("components/")}
        for each in render(values):
            if (each["kind"], each["metadata"]["name"]) not in kinds:
                name = f"{each['kind'].lower()}.yaml"
                text = yaml.dump(each, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
                (folder / name).write_text(f"# As the chart renders it: make manifests\n{text}")


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        _write()
    else:
        print(_native(json.load(sys.stdin)))
