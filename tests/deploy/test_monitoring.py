"""Dashboard, alerts and what scales: they ask for metrics, labels and values that the gateway has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from inference_gateway.telemetry.families import FAILURES, FAMILIES, PHASES, REFUSALS, Family
from tests.deploy.rendering import CHART, KUSTOMIZE, committed, render

RULES = CHART / "rules" / "inference-gateway.yaml"
DASHBOARD = CHART / "dashboards" / "inference-gateway.json"
TARGET = {"job", "instance", "namespace", "service", "pod"}
"""Labels that Prometheus gives what it scrapes."""

VALUES = {
    "gateway_refusals_total": {"reason": set(REFUSALS)},
    "gateway_failures_total": {"reason": set(FAILURES)},
    "gateway_request_seconds": {"phase": set(PHASES)},
}
"""What a label may be, where the code says."""

SELECTOR = re.compile(r"\b(gateway_\w+|up)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|=|!=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")


def rules() -> list[Any]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    """Yield each with where it stands."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for rule in rules():
        yield rule["alert"], rule["expr"]
    (scaled,) = committed(KUSTOMIZE / "components" / "keda")
    yield "keda", scaled["spec"]["triggers"][0]["metadata"]["query"]
    adapter = yaml.safe_load((KUSTOMIZE / "components" / "hpa" / "prometheus-adapter.yaml").read_text())
    (custom,) = adapter["rules"]["custom"]
    query = custom["metricsQuery"].replace("<<.LabelMatchers>>", 'pod="p"').replace("<<.GroupBy>>", "pod")
    yield "hpa", query
    yield "hpa", custom["seriesQuery"]


EXPRESSIONS = list(expressions())
ALL = pytest.mark.parametrize(
    "expression", [each for _, each in EXPRESSIONS], ids=[name for name, _ in EXPRESSIONS]
)


def family(name: str) -> Family:
    """The metric of a series; a histogram has three kinds of them."""
    for each in FAMILIES:
        kinds = ("_bucket", "_sum", "_count") if each.kind == "histogram" else ("",)
        if name in {each.name + kind for kind in kinds}:
            return each
    raise AssertionError(f"there is no metric {name}")


@ALL
def test_the_gateway_has_the_metrics_and_their_labels(expression: str) -> None:
    asked = SELECTOR.findall(expression)
    assert asked
    there = set(TARGET)
    for name, matchers in asked:
        if name == "up":
            continue
        found = family(name)
        there |= {*found.labels, *({"le"} if name.endswith("_bucket") else ())}
        for label, how, value in MATCHER.findall(matchers):
            assert label in {*found.labels, *TARGET}, f"{name} has no label {label}"
            known = VALUES.get(found.name, {}).get(label)
            if known and not value.startswith("$"):
                assert set(value.split("|") if "~" in how else [value]) <= known
    for grouping in GROUPING.findall(expression):
        assert set(grouping.replace(" ", "").split(",")) <= there


@ALL
def test_what_only_grows_is_asked_for_its_growth(expression: str) -> None:
    for name, _ in SELECTOR.findall(expression):
        if name != "up" and family(name).kind != "gauge":
            assert re.search(rf"\b(rate|increase)\({name}\b", expression), name


def test_prometheus_reads_each(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool, in Debian `apt-get install prometheus`")
    asked = [expression.replace("$__rate_interval", "5m") for _, expression in EXPRESSIONS]
    recorded = [{"record": f"it:{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "one", "rules": recorded}]}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_not_otherwise() -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool, in Debian `apt-get install prometheus`")
    cases = Path(__file__).parent / "alerts.yaml"
    tried = {
        case["alertname"]
        for test in yaml.safe_load(cases.read_text())["tests"]
        for case in test["alert_rule_test"]
    }
    assert tried == {rule["alert"] for rule in rules()}
    done = subprocess.run(
        ["promtool", "test", "rules", cases], capture_output=True, text=True, cwd=cases.parent
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_says_what_is_wrong_and_how_bad() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert {"summary", "description"} == rule["annotations"].keys()


def test_the_dashboard_can_be_read() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["type"] == "row" or panel["description"] for panel in panels)
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(?!__)(\w+)", json.dumps(panels)))
    assert used <= variables
    for panel in panels:  # none lies upon another
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for other in panels:
            there = other["gridPos"]
            beside = place["x"] + place["w"] <= there["x"] or there["x"] + there["w"] <= place["x"]
            apart = place["y"] + place["h"] <= there["y"] or there["y"] + there["h"] <= place["y"]
            assert panel is other or beside or apart, (panel["title"], other["title"])
    for each in dashboard["templating"]["list"]:
        if each["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", each["query"]["query"]).groups()  # type: ignore[union-attr]
            assert label in {*family(metric).labels, *TARGET}


def test_what_scales_counts_the_queue_and_the_slots() -> None:
    (query,) = (expression for name, expression in EXPRESSIONS if name == "keda")
    assert {name for name, _ in SELECTOR.findall(query)} == {
        "gateway_queued",
        "gateway_slots_taken",
        "gateway_slots",
    }
    (autoscaler,) = committed(KUSTOMIZE / "components" / "hpa")
    adapter = yaml.safe_load((KUSTOMIZE / "components" / "hpa" / "prometheus-adapter.yaml").read_text())
    (metric,) = autoscaler["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == adapter["rules"]["custom"][0]["name"]["as"]


@pytest.mark.parametrize(
    ("kserve", "service"), [(False, "inference-gateway"), (True, "inference-gateway-predictor")]
)
def test_alerts_and_queries_mean_what_is_scraped(kserve: bool, service: str) -> None:
    """Prometheus names the job after the Service."""
    values = {"monitoring": {"enabled": True}, "autoscaling": {"kind": "keda"}, "kserve": {"enabled": kserve}}
    found = {each["kind"]: each for each in render(values)}
    assert set(re.findall(r'job="([^"]+)"', str(found["PrometheusRule"]["spec"]))) == {service}
    scaling = found["InferenceService" if kserve else "ScaledObject"]["spec"]
    assert set(re.findall(r'service="([^"]+)"', str(scaling))) == {service}
    assert found["PrometheusRule"]["spec"].keys() == yaml.safe_load(RULES.read_text()).keys()
