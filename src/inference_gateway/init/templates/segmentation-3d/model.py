"""A mask of a volume: `inference-gateway serve --dev model:model`."""

from inference_gateway.results import Answer, from_bool
from inference_gateway.study import read_study


def segment(values):
    """Your model: return which voxels of (depth, rows, columns), in Hounsfield units, are lung."""
    return (values > -950) & (values < -700)


def model(json_input, inputs, input_hash):
    volume = read_study(inputs).volume("CT")
    answer = Answer()
    answer.mask(from_bool(segment(volume.values)), volume, label="lung")
    return answer
