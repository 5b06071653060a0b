#!/usr/bin/env python3
"""Write down what is in this image, with licences: CycloneDX 1.6, in /usr/share/sbom/image.cdx.json.

The components are Debian's packages, as dpkg has them; the distributions that this Python finds, with the
shared libraries that wheels carry; and the interpreter, where no package brought it. Nothing else: a file
that was copied in by hand is in no list. What a maker says of the inside of a distribution (PEP 770) is
named, not repeated: such lists have what may be there, and what was needed to build it. The document has no
date and no random number: the same image, the same bytes. An image that installs more runs `sbom` once
more.
"""

import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

DOCUMENTS = Path("/usr/share/doc")
CARRIED = re.compile(r"[^/]+\.libs/[^/]+$")  # where auditwheel puts the shared libraries of a wheel
TARGET = Path("/usr/share/sbom/image.cdx.json")
DEBIAN = (
    "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\t${db:Status-Status}\n"
)


def document() -> dict[str, Any]:
    """Return the CycloneDX document of the image that this runs in."""
    components = [*debian(), *distributions(), *interpreter()]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": "image",
                "name": "dicom-inference-gateway",
                "version": metadata.version("dicom-inference-gateway"),
            }
        },
        "components": sorted(components, key=lambda each: str(each["bom-ref"])),
    }


def component(
    name: str, version: str, purl: str, licences: list[str], files: dict[str, list[str]], folder: Path
) -> dict[str, Any]:
    """Return one component; `files` are paths below `folder` by what they have."""
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
    }
    if licences:
        found["licenses"] = [{"license": {"name": licence}} for licence in licences]
    told = [
        {"name": what, "value": str(folder / path)} for what, paths in files.items() for path in sorted(paths)
    ]
    if told:
        found["properties"] = told
    return found


def debian() -> Iterator[dict[str, Any]]:
    """Yield the packages that dpkg has installed."""
    system = platform.freedesktop_os_release()["ID"]
    listed = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={DEBIAN}"], capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        name, version, architecture, source, source_version, status = line.split("\t")
        if status != "installed":
            continue
        copyright_file = DOCUMENTS / name / "copyright"
        there = copyright_file.exists()
        quoted = version.replace("+", "%2B").replace(":", "%3A")
        purl = f"pkg:deb/{system}/{name.replace('+', '%2B')}@{quoted}?arch={architecture}"
        if (source, source_version) != (name, version):
            purl += f"&upstream={source.replace('+', '%2B')}"
        yield component(
            name,
            version,
            purl,
            copyright_licences(copyright_file) if there else [],
            {"licence file": [f"{name}/copyright"] if there else []},
            DOCUMENTS,
        )


def copyright_licences(path: Path) -> list[str]:
    """Return the short names of the licences in a copyright file of Debian's machine-readable form."""
    text = path.read_text(encoding="utf-8", errors="replace")
    names = re.findall(r"^License: *(\S.*)$", text, re.MULTILINE) if text.startswith("Format:") else []
    return sorted({name.strip() for name in names})


def distributions() -> Iterator[dict[str, Any]]:
    """Yield what Python finds, the base's own distributions too."""
    seen = set()
    for found in metadata.distributions():
        if any(owned_by_dpkg(str(file.locate())) for file in (found.files or [])[:1]):
            continue  # it is in a package of Debian's, and named there
        one = distribution(found)
        if one["purl"] not in seen:  # in the base and in the environment
            seen.add(one["purl"])
            yield one


def distribution(found: metadata.Distribution) -> dict[str, Any]:
    """Return the component of a distribution, with the shared libraries that its wheel carries."""
    files = [str(file) for file in found.files or []]
    inside = [file for file in files if ".dist-info/" in file]
    one = component(
        found.metadata["Name"],
        found.version,
        f"pkg:pypi/{re.sub(r'[-_.]+', '-', found.metadata['Name']).lower()}@{found.version}",
        [],
        {
            "licence file": [file for file in inside if "/licenses/" in file or "LICEN" in file],
            "list of its maker": [file for file in inside if "/sboms/" in file],
        },
        Path(str(found.locate_file(""))),
    )
    if licences := stated(found.metadata):
        one["licenses"] = licences
    if carried := sorted(Path(file).name for file in files if CARRIED.match(file)):
        one["components"] = [{"type": "file", "name": file} for file in carried]
    return one


def stated(about: metadata.PackageMetadata) -> list[dict[str, Any]]:
    """Return the licence that a distribution states, in CycloneDX's form."""
    if expression := about.get("License-Expression"):
        return [{"expression": expression}]
    classifiers = [
        each.split(" :: ")[-1] for each in about.get_all("Classifier") or [] if each.startswith("License :: ")
    ]
    names = [each for each in classifiers if each != "OSI Approved"]
    text = (about.get("License") or "").strip()
    if not names and text:
        names = [text.splitlines()[0]]
    return [{"license": {"name": name}} for name in names]


def interpreter() -> Iterator[dict[str, Any]]:
    """Yield CPython, where it is of no package."""
    if owned_by_dpkg(os.path.realpath(sys.executable)):
        return
    version = platform.python_version()
    folder = Path(sysconfig.get_path("stdlib"))
    files = {"licence file": [name for name in ("LICENSE.txt",) if (folder / name).exists()]}
    yield component("cpython", version, f"pkg:generic/cpython@{version}", ["PSF-2.0"], files, folder)


def owned_by_dpkg(path: str) -> bool:
    """Whether a package of Debian's brought the file."""
    asked = subprocess.run(["dpkg-query", "--search", path], capture_output=True, check=False)
    return asked.returncode == 0


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(document(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(document()['components'])} components are listed in {TARGET}")
