"""The compose file: what it mounts is there, what it says fits the gateway, and Prometheus reads its own."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from inference_gateway import Settings
from tests.deploy.rendering import CHART, DEPLOY

FOLDER = DEPLOY / "compose"
FILE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES = FILE["services"]
PROMETHEUS = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())


def test_what_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, target, *_ = volume.split(":")
            assert (FOLDER / source).exists() if source.startswith(".") else source in FILE["volumes"]
            assert target.startswith("/")
    assert (FOLDER / SERVICES["gateway"]["build"] / "Dockerfile").exists()


def test_nobody_from_outside_reaches_them_and_they_have_no_rights() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["image"].startswith("${IMAGE") or re.search(r":v?\d+\.\d+\.\d+$", service["image"])


def test_the_gateway_takes_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = SERVICES["gateway"]
    for name, value in gateway["environment"].items():
        assert name.removeprefix("GATEWAY_").lower() in Settings.model_fields
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert gateway["read_only"] is True
    (spool,) = (each for each in gateway["tmpfs"] if each.startswith(f"{settings.spool_dir}:"))
    size = re.search(r"size=(\d+)g", spool)
    assert size
    assert settings.max_body_bytes < settings.spool_quota_bytes < int(size[1]) << 30
    assert settings.drain_timeout is not None
    assert int(gateway["stop_grace_period"].removesuffix("s")) >= settings.drain_timeout + 10


def test_prometheus_and_grafana_find_each_other_and_the_gateway() -> None:
    (job,) = PROMETHEUS["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["gateway:8000"]}]
    alerts = (CHART / "rules" / "inference-gateway.yaml").read_text()
    assert set(re.findall(r'job="([^"]+)"', alerts)) == {job["job_name"]}
    (source,) = yaml.safe_load((FOLDER / "grafana" / "datasources.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((FOLDER / "grafana" / "dashboards.yaml").read_text())["providers"]
    mounted = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted


def test_prometheus_reads_its_configuration(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool, in Debian `apt-get install prometheus`")
    shutil.copy(FOLDER / "prometheus.yaml", tmp_path)
    shutil.copytree(CHART / "rules", tmp_path / "rules")
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yaml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 rules found" in done.stdout
