"""Networks: CIFAR ResNets, ResNet-50, a small residual net for the digits, heads, user models."""

from checkpoints.models.heads import CosineHead
from checkpoints.models.registry import Architecture, build_model
from checkpoints.models.resnet import ResNet, initialise

__all__ = [
    "Architecture",
    "CosineHead",
    "ResNet",
    "build_model",
    "initialise",
]
