"""Folders as training leaves them, with networks that nobody trained. Each function needs its framework."""

import json
from pathlib import Path


def write_bundle(folder: Path) -> None:
    """A MONAI bundle whose class 1 is what is dense: over 140 Hounsfield units."""
    import torch

    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    network = {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 2, "kernel_size": 1}
    inferer = {"_target_": "monai.inferers.SlidingWindowInferer", "roi_size": [8, 32, 32]}
    config = {"network_def": network, "inferer": inferer}
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    weights = torch.nn.Conv3d(1, 2, 1)
    with torch.no_grad():
        weights.weight[:, 0, 0, 0, 0] = torch.tensor([0.0, 1.0])
        weights.bias[:] = torch.tensor([0.0, -0.75])
    torch.save(weights.state_dict(), folder / "models" / "model.pt")


def write_nnunet(folder: Path) -> None:
    """A trained nnU-Net of two convolutions, with the classes background and liver."""
    import torch

    architecture = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 2,
            "features_per_stage": [4, 8],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
            "strides": [[1, 1, 1], [2, 2, 2]],
            "n_conv_per_stage": [1, 1],
            "n_conv_per_stage_decoder": [1],
            "conv_bias": True,
            "norm_op": None,
            "norm_op_kwargs": None,
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "made",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 1,
        "patch_size": [8, 32, 32],
        "spacing": [20.0, 5.6, 5.6],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": resampling,
        "architecture": architecture,
        "batch_dice": False,
    }
    intensities = {"mean": 0.0, "std": 500.0, "percentile_00_5": -1000.0, "percentile_99_5": 1000.0}
    plans = {
        "dataset_name": "Dataset001_Made",
        "plans_name": "plans",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "image_reader_writer": "SimpleITKIO",
        "foreground_intensity_properties_per_channel": {"0": intensities},
        "configurations": {"3d_fullres": configuration},
    }
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1},
        "file_ending": ".nii.gz",
    }
    (folder / "fold_0").mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    network = get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        1,
        2,
        allow_init=True,
        deep_supervision=False,
    )
    checkpoint = {
        "network_weights": network.state_dict(),
        "init_args": {"configuration": "3d_fullres"},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": None,
    }
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
