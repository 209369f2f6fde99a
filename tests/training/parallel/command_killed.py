"""``spectra train`` of which rank 1 is killed in the third epoch: ``command_killed.py WORDS``."""

import os
import signal

from checkpoints.training.evaluation import EpochMetrics
from checkpoints.training.trainer import Trainer
from cli.main import main

plain = Trainer.run_epoch


def killed_in_the_third(self: Trainer, epoch: int) -> EpochMetrics:
    if epoch == 2 and self.world.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(self, epoch)


Trainer.run_epoch = killed_in_the_third
main()
