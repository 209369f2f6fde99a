"""What surrounds a recording; stand-ins take CUDA's calls."""

import contextlib
import gc

import pytest
import torch

from spectra.system.recording import CudaRecorder


@pytest.fixture
def streams(monkeypatch):
    """The current stream, last; as of torch, ending a failed recording leaves it as it is."""
    current = ["main"]

    @contextlib.contextmanager
    def on(stream):
        before = current[-1]
        current.append(stream)
        try:
            yield
        finally:
            current.append(before)

    @contextlib.contextmanager
    def graph(graph, *, pool, stream, capture_error_mode="global"):
        graph.forbids_calls_of = capture_error_mode
        before = current[-1]
        current.append(stream)
        try:
            yield
        except RuntimeError as error:
            raise RuntimeError("operation failed due to a previous error during capture") from error
        current.append(before)

    class Graph:
        def replay(self):
            return self.forbids_calls_of

    for name, stand_in in {
        "Stream": lambda _: "side",
        "CUDAGraph": Graph,
        "device": lambda _: contextlib.nullcontext(),
        "current_stream": lambda: current[-1],
        "stream": on,
        "graph": graph,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return current


def test_work_is_recorded_on_the_side_stream_with_no_collection_of_garbage(streams):
    recorder = CudaRecorder(torch.device("cuda", 0))
    assert recorder.record(lambda: (streams[-1], gc.isenabled())).outcome == ("side", False)
    assert streams[-1] == "main"
    assert gc.isenabled()


def test_a_recording_forbids_nothing_to_other_threads_such_as_a_users_data_loader(streams):
    recording = CudaRecorder(torch.device("cuda", 0)).record(lambda: None)
    assert recording.replay() == "thread_local"


def test_a_recording_that_fails_leaves_the_callers_stream_and_collector_as_they_were(streams):
    def synchronises():
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="previous error during capture"):
        CudaRecorder(torch.device("cuda", 0)).record(synchronises)
    assert streams[-1] == "main"
    assert gc.isenabled()


def test_a_graph_whose_recording_failed_is_not_freed(streams, monkeypatch):
    freed = []

    class Graph:
        def __del__(self):
            freed.append("graph")

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    with pytest.raises(RuntimeError):
        CudaRecorder(torch.device("cuda", 0)).record(lambda: torch.ones(2) @ torch.ones(3))
    gc.collect()
    assert not freed
