"""A program that reads NIfTI and writes NIfTI: `inference-gateway serve nifti_in_out:model`.

Needs the extra `nifti`.
"""

import nibabel as nib
import numpy as np

from inference_gateway.study import mask_part, read_study


def segment(source, target):
    """Your program: read one file, write another; here what is bone in Hounsfield units."""
    image = nib.load(source)
    nib.save(nib.Nifti1Image((image.get_fdata() > 300).astype(np.uint8), image.affine), target)


def model(json_input, inputs, input_hash):
    volume = read_study(inputs).volume()
    mask = volume.through_nifti(segment, "binary")
    return {"protocol_version": "1.0", "parts": [mask_part(volume, mask, label="bone")]}, [mask]
