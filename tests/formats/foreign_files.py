"""Files as others save them, and what we make of them."""

from torch import nn

from checkpoints.formats.foreign import load_foreign
from checkpoints.models import Architecture, build_model

SGD_FOLDER = "cifar10_resnet32_CE_DRW_exp_0.01_seed_0_0"
SAM_FOLDER = "cifar10_resnet32_LDAM_DRW_exp_0.01_sam_0.8_sched_none_seed_3_0"


def state(name="resnet8", classes=10, **fields):
    return build_model(Architecture(name, classes, **fields)).state_dict()


def rename(weights, old, new):
    return {key.replace(old, new): value for key, value in weights.items()}


def prefixed(weights, prefix="module."):
    return {prefix + key: value for key, value in weights.items()}


def user_network(num_classes):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, num_classes))


def arch(path, **options):
    return load_foreign(path, **options).architecture
