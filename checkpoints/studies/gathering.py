"""Put the steps of a study together: each is done, or only read, and ``results.json`` written."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence

from checkpoints.studies.claimed_folder import refuse_damaged
from checkpoints.studies.steps import Step, StepsOfStudy
from spectra import Analysis
from spectra.classes.identity import library_versions
from spectra.results.study_result import StudyResult, save_study_result
from spectra.system.progress import Progress


def gather(
    steps: StepsOfStudy,
    *,
    at_once: Iterable[Step] = (),
    on_progress: Progress | None = None,
    on_result: Callable[[StudyResult], None] | None = None,
) -> StudyResult:
    """Do what is missing of a study, check that all is there, and write its ``results.json``.

    Args:
        steps: of the study.
        at_once: steps as others finish them, before the rest is gone through.
        on_progress: called with (``ce-seed0 epoch 100 class 8`` say, steps done, steps planned).
        on_result: called after each analysis of a last epoch with all that there are so far.

    Raises:
        InputError: files that were written are gone or damaged at its end.
    """
    planned = steps.in_order()
    done: dict[Step, list[Analysis]] = {}
    for step in itertools.chain(at_once, planned):
        if step not in done:
            done[step] = steps.do(step, on_progress)
            if on_result and step.kind == "analyses":
                on_result(_result(steps, planned, done))
    wrong = [each for step in planned for each in steps.damaged(step, done[step])]
    refuse_damaged(steps.folder, wrong)
    result = _result(steps, planned, done)
    save_study_result(steps.folder / "results.json", result)
    return result


def _result(
    steps: StepsOfStudy, planned: Sequence[Step], done: Mapping[Step, Sequence[Analysis]]
) -> StudyResult:
    """Put together what there is, in the order of the study."""
    by_kind: dict[str, list[Analysis]] = {}
    for step in planned:
        by_kind.setdefault(step.kind, []).extend(done.get(step, ()))
    return StudyResult(
        steps.study.name,
        tuple(by_kind["analyses"]),
        tuple(by_kind.get("trajectories", ())),
        library_versions(),
    )
