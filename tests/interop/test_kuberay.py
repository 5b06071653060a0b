"""The manifests for KubeRay: what they say fits together, and this gateway takes it.

The rules are those of the custom resource (ray.io/v1, RayCluster) that a wrong file breaks most easily; no
schema of it is published where a test could get it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.routing import Route

from inference_gateway import Gateway, Settings
from inference_gateway.serving.command import serve

FILE = Path(__file__).parents[2] / "deploy" / "kuberay" / "cluster.yaml"
LEAST_STORE = 75 << 20  # bytes, for Ray
QUANTITY = re.compile(r"\d+(\.\d+)?([EPTGMk]i?|m)?")
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def documents() -> dict[tuple[str, str], Any]:
    return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(FILE.read_text())}


CLUSTER = documents()["RayCluster", "inference"]
GROUPS = {group["groupName"]: group for group in CLUSTER["spec"]["workerGroupSpecs"]}


def pods() -> Iterator[Any]:
    yield CLUSTER["spec"]["headGroupSpec"]
    yield from GROUPS.values()


def containers() -> Iterator[tuple[Any, Any]]:
    for group in pods():
        for container in group["template"]["spec"]["containers"]:
            yield group["template"]["spec"], container


def gateway() -> Any:
    _, found = (each["template"]["spec"]["containers"] for each in [GROUPS["models"], GROUPS["gateways"]])
    return next(each for each in found if each["name"] == "gateway")


def test_the_kinds_and_their_versions() -> None:
    assert {kind: each["apiVersion"] for (kind, _), each in documents().items()} == {
        "RayCluster": "ray.io/v1",
        "Service": "v1",
        "NetworkPolicy": "networking.k8s.io/v1",
    }
    assert all(NAME.fullmatch(name) for _, name in documents())


def test_each_group_is_whole() -> None:
    for group in pods():
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        assert group["template"]["spec"]["containers"][0]["name"].startswith(
            "ray-"
        )  # KubeRay takes the first
    for group in GROUPS.values():
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        assert NAME.fullmatch(group["groupName"])


def test_each_container_has_its_image_its_limits_and_its_volumes() -> None:
    assert len({container["image"] for _, container in containers()}) == 1  # Ray wants one version everywhere
    for pod, container in containers():
        for amounts in (container["resources"]["requests"], container["resources"]["limits"]):
            assert {"cpu", "memory"} <= amounts.keys()
            assert all(QUANTITY.fullmatch(str(amount)) for amount in amounts.values())
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        assert mounted <= {volume["name"] for volume in pod.get("volumes", [])}


def test_the_version_is_that_which_was_tried() -> None:
    constraints = FILE.parents[2] / "constraints.txt"
    found = re.search(r"^ray==([\d.]+)", constraints.read_text(), re.MULTILINE)
    assert found
    assert CLUSTER["spec"]["rayVersion"] == found[1]


def test_the_head_runs_no_model() -> None:
    assert CLUSTER["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_the_gateway_is_beside_its_node() -> None:
    """In one pod, with what they share: the folder of Ray's sockets, memory, and the view of processes."""
    pod = GROUPS["gateways"]["template"]["spec"]
    assert pod["shareProcessNamespace"] is True
    shared = [
        {(mount["name"], mount["mountPath"]) for mount in container["volumeMounts"]}
        for container in pod["containers"]
    ]
    assert {("ray", "/tmp/ray"), ("shared-memory", "/dev/shm")} <= shared[0] & shared[1]
    assert GROUPS["gateways"]["rayStartParams"]["num-cpus"] == "0"


def test_the_gateway_takes_its_options_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    container = gateway()
    program, command, *target = container["command"]
    assert (program, command) == ("inference-gateway", "serve")
    context = serve.make_context("serve", [*target, *container["args"]])
    assert context.params["engine"] == "ray"
    assert context.params["port"] == container["ports"][0]["containerPort"]
    for variable in container["env"]:
        name, value = variable["name"], variable.get("value", "a-key-that-is-long-enough-for-one")
        if name.startswith("GATEWAY_"):
            assert name.removeprefix("GATEWAY_").lower() in Settings.model_fields
            monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("GATEWAY_SPOOL_DIR", "/tmp")
    settings = Settings()
    assert settings.drain_timeout is not None
    grace = GROUPS["gateways"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert settings.drain_timeout + 5 < grace


def test_the_head_is_found_by_the_name_that_kuberay_gives_it() -> None:
    found = {each["name"]: each.get("value") for each in gateway()["env"]}
    assert found["RAY_ADDRESS"] == f"{CLUSTER['metadata']['name']}-head-svc:6379"


def test_there_is_a_gpu_for_each_actor() -> None:
    args = gateway()["args"]
    most = int(args[args.index("--actors") + 1].partition("-")[2])
    assert most == GROUPS["models"]["maxReplicas"]
    for group in pods():
        assert int(group["rayStartParams"]["object-store-memory"]) >= LEAST_STORE
    assert (
        GROUPS["models"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    )


def test_the_probes_are_the_gateways() -> None:
    paths = {route.path for route in Gateway(settings=Settings()).routes if isinstance(route, Route)}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = gateway()[probe]["httpGet"]
        assert asked["path"] in paths
        assert asked["port"] == gateway()["ports"][0]["name"]


def test_the_service_and_the_policies_mean_these_pods() -> None:
    labels = GROUPS["gateways"]["template"]["metadata"]["labels"]
    service = documents()["Service", "inference-gateway"]["spec"]
    assert service["selector"].items() <= labels.items()
    assert service["ports"][0]["targetPort"] == gateway()["ports"][0]["name"]
    policy = documents()["NetworkPolicy", "inference-gateway"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    inside = documents()["NetworkPolicy", "inference-cluster"]["spec"]["podSelector"]["matchLabels"]
    assert inside == {"ray.io/cluster": CLUSTER["metadata"]["name"]}
