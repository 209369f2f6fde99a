import time

from spectra.system.timing import seconds_of


def test_seconds_are_those_from_before_the_work_to_after_it():
    began = time.perf_counter()
    found = seconds_of(lambda: time.sleep(0.01), "cpu")
    assert 0.01 <= found <= time.perf_counter() - began
