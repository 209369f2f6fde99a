"""Data: real digits, CIFAR batches, npz files; long-tailed profiles; normalisation."""

from checkpoints.data.dataset import ImageData, LabelledImages, Normalisation
from checkpoints.data.longtail import (
    class_counts,
    groups_by_size,
    head_mid_tail,
    many_medium_few,
    select_long_tail,
)
from checkpoints.data.sources import DataRequest, load_data
from checkpoints.data.views import ImageProtocol

__all__ = [
    "DataRequest",
    "ImageData",
    "ImageProtocol",
    "LabelledImages",
    "Normalisation",
    "class_counts",
    "groups_by_size",
    "head_mid_tail",
    "load_data",
    "many_medium_few",
    "select_long_tail",
]
