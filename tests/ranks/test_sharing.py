"""What each rank takes of an analysis."""

from checkpoints.analysis.shared_out.sharing import Sharing
from spectra.engines.agreement import agreed
from spectra.engines.settings import SolverSettings
from spectra.system.ranks import World


class _Seen(World):
    """A rank of three that is told what the others have room for."""

    def gather(self, value):
        return [value, ("half", 40, True, False, True), ("device", None, False, True, True)]


def test_a_loss_is_taken_once_and_stays_with_who_took_it():
    sharing = Sharing(World(), "losses")
    assert sharing.takes("8")
    assert sharing.takes("8")
    assert sharing.keeps


def test_losses_of_most_images_are_taken_first():
    losses = {"0": (0,), "1": (1,), "overall": (0, 1)}
    assert list(Sharing(World(), "losses").in_turn(losses, (3, 7))) == ["overall", "1", "0"]
    assert list(Sharing(World(), "images").in_turn(losses, (3, 7))) == ["0", "1", "overall"]


def test_of_shared_images_rank_0_alone_keeps_the_result():
    keeps = [Sharing(World(rank, 2), "images").keeps for rank in range(2)]
    assert keeps == [True, False]


def test_ranks_make_what_all_of_them_have_room_for():
    settings = SolverSettings(bending=True, stationary=True, max_basis=None)
    made, bootstrap = agreed(_Seen(0, 3), settings, True)
    assert (made.max_basis, made.bending, made.stationary, bootstrap) == (40, False, False, True)
    assert made.basis == "half"  # or one would restart where the others go on


def test_one_process_agrees_with_itself():
    settings = SolverSettings(max_basis=7)
    assert agreed(World(), settings, False) == (settings, False)
