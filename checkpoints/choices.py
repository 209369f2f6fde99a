"""The words that requests, and so the flags of the command line, choose from.

Nothing is imported here, so that help is there at once. What a word means lies where it is used.
"""

# Data: where the images come from, their profile, and how they are normalised.
ARCHIVE_NAMES = ("cifar10", "cifar100")
PROFILES = ("exp", "step", "none")
NORMALISATION_NAMES = ("cifar", "cifar100", "imagenet", "inaturalist18")
SPLITS = ("train", "test")

# Networks.
CIFAR_DEPTHS = (8, 14, 20, 26, 32, 44, 56, 110)
PHOTO_NETWORK = "resnet50"
ARCHITECTURES = (
    *[f"resnet{d}" for d in CIFAR_DEPTHS], PHOTO_NETWORK, "digits-resnet", "softmax",
)  # fmt: skip
HEADS = ("linear", "cosine")

# Training passes.
PRECISIONS = ("float32", "tf32", "bfloat16")
# What batch norm sees where several processes share a batch; the first is the default.
BATCH_NORMS = ("shard", "synchronised")

# Analysis: which loss the Hessian is of, how it is averaged, and in which numbers.
OBJECTIVE = "objective"
ANALYZED_LOSSES = ("ce", "train", "reference", OBJECTIVE)
REDUCTIONS = ("mean", "global")
DTYPES = ("float32", "float64")

# Studies of the paper.
SIZES = ("smoke", "cpu", "full")
# What hands their steps out as jobs.
LAUNCHERS = ("slurm", "local")
# Eigenpairs from either end along which steps are searched: ours; a rank correlation of fewer says
# nothing.
CLAIM_PAIRS = 10
# What the processes of a job share out: each takes losses, or all the images of each loss.
IMAGES = "images"
SHARED_OUT = ("losses", IMAGES)
