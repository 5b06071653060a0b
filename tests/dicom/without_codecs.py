"""What a process can decode that has only the extra `dicom`."""

import json
import subprocess
import sys

WITHOUT = """
import json, sys
sys.modules["imagecodecs"] = sys.modules["jpeg_ls"] = None  # the other one comes with highdicom
from pydicom.uid import AllTransferSyntaxes
from inference_gateway.dicom.codecs import undecodable
print(json.dumps({str(one): undecodable(one) for one in AllTransferSyntaxes}))
"""


def undecodable_without_codecs() -> dict[str, str]:
    """Why each syntax cannot be decoded in a process that has only the extra `dicom`."""
    ran = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, check=True, text=True)
    found: dict[str, str] = json.loads(ran.stdout)
    return found
