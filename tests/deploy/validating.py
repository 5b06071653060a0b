"""Kubernetes' own schemas and those of custom resources: what a manifest may say, field by field.

Kubernetes' come with kubernetes-validate, in their strict form: a field that is not known is a fault. Those
of KEDA, the Prometheus operator, the Gateway API and KServe are in `schemas`; its README says where from.
"""

import importlib.resources
import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

SCHEMAS = Path(__file__).parent / "schemas"
VERSIONS = ("1.30", "1.37")
"""The oldest Kubernetes that the chart asks for, and the newest whose schemas are known."""


def faults(manifest: dict[str, Any], version: str) -> list[str]:
    """Return what is wrong with a manifest, as a Kubernetes of that version would see it."""
    validator = _validator(manifest["apiVersion"], manifest["kind"], version)
    return [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(manifest)]


@cache
def _validator(api_version: str, kind: str, version: str) -> Draft202012Validator:
    custom = SCHEMAS / f"{kind.lower()}.json"
    if custom.exists():
        schema = json.loads(custom.read_text())
    else:
        group, _, number = api_version.rpartition("/")
        name = "-".join(filter(None, (kind, group.partition(".")[0], number))).lower()
        schema = json.loads((_folder(version) / f"{name}.json").read_text())
    return Draft202012Validator(schema, registry=_registry(version))


@cache
def _registry(version: str) -> Registry[Any]:
    definitions = json.loads((_folder(version) / "_definitions.json").read_text())
    found: Registry[Any] = Registry().with_resource(definitions["$id"], Resource.from_contents(definitions))
    return found


@cache
def _folder(version: str) -> Path:
    schemas = Path(str(importlib.resources.files("kubernetes_validate"))) / "kubernetes-json-schema"
    (found,) = schemas.glob(f"v{version}.*-local-strict")
    return found
