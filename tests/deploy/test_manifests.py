"""The manifests: valid, fit for each other and for the gateway, the same from chart and kustomization."""

import itertools
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from inference_gateway import Settings
from inference_gateway.serving.command import serve
from tests.deploy.rendering import (
    CHART,
    KUSTOMIZE,
    NAMESPACE,
    VALUES,
    Manifest,
    committed,
    kustomized,
    render,
)
from tests.deploy.validating import VERSIONS, faults

EVERYTHING: dict[str, Any] = {
    "apiKeys": {"secret": "gateway-keys"},
    "args": ["--isolation", "process"],
    "autoscaling": {"kind": "keda"},
    "env": [{"name": "WEIGHTS", "value": "/weights"}],
    "gatewayApi": {"enabled": True, "clientSettingsPolicy": True},
    "gpu": {"count": 2, "runtimeClassName": "nvidia"},
    "imagePullSecrets": [{"name": "registry"}],
    "ingress": {"enabled": True, "annotations": {"cert-manager.io/cluster-issuer": "ours"}},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
    "networkPolicy": {
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}],
        "egress": [{"ports": [{"port": 443, "protocol": "TCP"}]}],
    },
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "podAnnotations": {"note": "with everything"},
    "seconds": {"drain": 600},
    "spoolGiB": 100,
}
FOLDERS = [KUSTOMIZE / place for place in VALUES if "components" not in place]
COMPONENTS = [place for place in VALUES if place.startswith("components/")]


def manifests() -> list[Manifest]:
    """Every resource that is committed."""
    return [each for place in VALUES for each in committed(KUSTOMIZE / place)]


def pods(of: list[Manifest]) -> Iterator[Any]:
    for each in of:
        if each["kind"] == "Deployment":
            yield each["spec"]["template"]["spec"]
        elif each["kind"] == "InferenceService":
            yield each["spec"]["predictor"]


def environment(pod: Any) -> dict[str, str]:
    return {each["name"]: each["value"] for each in pod["containers"][0]["env"]}


POD = next(pods(committed(KUSTOMIZE / "base")))
CONTAINER = POD["containers"][0]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "manifest", manifests(), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}"
)
def test_the_schemas_hold(manifest: Manifest, version: str) -> None:
    assert faults(manifest, version) == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "values", [EVERYTHING, {**EVERYTHING, "kserve": {"enabled": True}}], ids=["pods", "kserve"]
)
def test_the_schemas_hold_with_everything_that_the_chart_can_do(values: dict[str, Any], version: str) -> None:
    rendered = render(values)
    assert {each["kind"] for each in rendered} >= {
        "HTTPRoute",
        "Ingress",
        "ClientSettingsPolicy",
        "ServiceMonitor",
    }
    assert [fault for each in rendered for fault in faults(each, version)] == []


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_see_a_field_that_is_not_known(version: str) -> None:
    """At the top of each, and deep inside."""
    for manifest in manifests():
        manifest["spec" if "spec" in manifest else "metadata"]["sizelimit"] = 1
        assert faults(manifest, version) != []
    (deployment,) = (each for each in committed(KUSTOMIZE / "base") if each["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["readOnlyRootFileSystem"] = True
    assert faults(deployment, version) != []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_chart_renders_what_is_committed(folder: Path) -> None:
    assert render(VALUES[folder.relative_to(KUSTOMIZE).as_posix()]) == committed(folder)


@pytest.mark.parametrize("place", COMPONENTS, ids=lambda place: Path(place).name)
def test_the_chart_renders_what_a_component_makes_of_the_base(place: str) -> None:
    with tempfile.TemporaryDirectory(dir=KUSTOMIZE) as folder:  # it refuses what lies elsewhere
        kustomization = {"resources": ["../base"], "components": [f"../{place}"]}
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        built = kustomized(Path(folder))
    assert named(render(VALUES[place])) == named(built)


def named(found: Any) -> Any:
    """Lists whose order means nothing become dicts: kustomize adds at the beginning, the chart in between."""
    if isinstance(found, dict):
        return {key: named(value) for key, value in found.items()}
    if isinstance(found, list) and found and all(isinstance(each, dict) and "name" in each for each in found):
        return {each["name"]: named(each) for each in found}
    return [named(each) for each in found] if isinstance(found, list) else found


def test_each_file_of_a_folder_is_in_its_kustomization() -> None:
    apart = {"kustomization.yaml", "prometheus-adapter.yaml"}
    for place in VALUES:
        folder = KUSTOMIZE / place
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        patches = [each["path"] for each in kustomization.get("patches", []) if "path" in each]
        named_in_it = {*kustomization.get("resources", []), *patches}
        assert {path.name for path in folder.iterdir()} - apart == named_in_it


@pytest.mark.parametrize(
    "values",
    [
        {"seconds": {"drain": 0}},
        {"settings": {"DRAIN_TIMEOUT": "600"}},
        {"replicaCount": 3},
        {"autoscaling": {"kind": "hpa"}, "kserve": {"enabled": True}},
    ],
)
def test_the_chart_refuses_values_that_cannot_be(values: dict[str, Any]) -> None:
    render({})
    with pytest.raises(subprocess.CalledProcessError):
        render(values)


# What they say to the gateway


def test_the_gateway_takes_its_command_and_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    context = serve.make_context("serve", list(CONTAINER["args"]))
    assert context.params["target"] == CONTAINER["args"][0]
    settings = settings_of(POD, monkeypatch)
    assert settings.max_body_bytes == 8 << 30
    assert settings.log_format == "json"
    known = {f"GATEWAY_{name.upper()}" for name in Settings.model_fields}
    for pod in pods(manifests()):
        assert {name for name in environment(pod) if name.startswith("GATEWAY_")} <= known


def settings_of(pod: Any, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment(pod).items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_the_grace_period_has_room_for_the_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    for pod in pods([*manifests(), *render(EVERYTHING)]):
        drain = settings_of(pod, monkeypatch).drain_timeout
        sleep = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert drain is not None
        assert sleep + drain + 10 <= pod["terminationGracePeriodSeconds"]


def test_the_spool_has_its_own_volume_and_a_quota_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for pod in pods([*manifests(), *render(EVERYTHING)]):
        settings = settings_of(pod, monkeypatch)
        (mount,) = (each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "spool")
        (volume,) = (each for each in pod["volumes"] if each["name"] == "spool")
        gibibytes = re.fullmatch(r"(\d+)Gi", volume["emptyDir"]["sizeLimit"])
        assert gibibytes
        assert mount["mountPath"] == str(settings.spool_dir)
        assert settings.max_body_bytes < settings.spool_quota_bytes < int(gibibytes[1]) << 30
        asked = pod["containers"][0]["resources"]["requests"]["ephemeral-storage"]
        assert int(asked.removesuffix("Gi")) > int(gibibytes[1])


def test_nothing_in_the_pod_has_rights() -> None:
    for pod in pods(manifests()):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False  # a Service named gateway would set GATEWAY_PORT
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory", "ephemeral-storage"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


def test_the_user_is_that_of_the_image() -> None:
    dockerfile = (CHART.parents[2] / "Dockerfile").read_text()
    user = POD["securityContext"]
    assert f"\nUSER {user['runAsUser']}:{user['runAsGroup']}\n" in dockerfile
    assert f"\nEXPOSE {CONTAINER['ports'][0]['containerPort']}\n" in dockerfile


def test_a_front_waits_for_as_long_as_the_gateway_does(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(POD, monkeypatch)
    assert settings.queue_timeout is not None
    assert settings.model_timeout is not None
    assert settings.keep_alive_timeout is not None
    (ingress,) = committed(KUSTOMIZE / "components" / "ingress-nginx")
    said = {
        name.removeprefix("nginx.ingress.kubernetes.io/"): value
        for name, value in ingress["metadata"]["annotations"].items()
    }
    assert int(said["proxy-body-size"].removesuffix("g")) << 30 == settings.max_body_bytes
    assert int(said["proxy-read-timeout"]) > settings.queue_timeout + settings.model_timeout
    assert (said["proxy-request-buffering"], said["proxy-buffering"]) == ("off", "off")
    assert settings.keep_alive_timeout > 60  # the front's own limit for idle connections
    assert settings.refuse_after_body
    (service,) = pods(committed(KUSTOMIZE / "kserve"))
    assert service["timeout"] > settings.queue_timeout + settings.model_timeout
    (route,) = committed(KUSTOMIZE / "components" / "gateway-api")
    assert route["spec"]["rules"][0]["timeouts"] == {"request": "0s", "backendRequest": "0s"}


def test_the_objects_mean_the_same_pods_and_port() -> None:
    found = {
        each["kind"]: each for each in itertools.chain(manifests(), render({"monitoring": {"enabled": True}}))
    }
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    port = CONTAINER["ports"][0]["name"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels
    assert found["Service"]["spec"]["ports"][0]["targetPort"] == port
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    assert found["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == labels
    assert found["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"] == port
    assert found["InferenceService"]["spec"]["predictor"]["labels"] == labels
    assert (
        found["ServiceMonitor"]["spec"]["selector"]["matchLabels"].items()
        <= found["Service"]["metadata"]["labels"].items()
    )
    assert (
        found["ServiceMonitor"]["spec"]["endpoints"][0]["port"]
        == found["Service"]["spec"]["ports"][0]["name"]
    )
    name = found["Deployment"]["metadata"]["name"]
    assert found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == name
    assert found["ScaledObject"]["spec"]["scaleTargetRef"]["name"] == name
    assert (
        found["HTTPRoute"]["spec"]["rules"][0]["backendRefs"][0]["name"]
        == found["Service"]["metadata"]["name"]
    )
    assert f'namespace="{NAMESPACE}"' in found["ScaledObject"]["spec"]["triggers"][0]["metadata"]["query"]
