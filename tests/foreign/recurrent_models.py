"""Recurrent networks; in float32 on a CPU, torch's LSTM has no second derivative."""

import torch
from foreign_case import Case, Wired, parameter
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence


def last_state(rnn: nn.Module, width: int) -> nn.Module:
    return Wired(lambda m, x: m.head(m.rnn(x)[0][:, -1]), rnn=rnn, head=nn.Linear(width, 3))


def with_start(m, x: Tensor) -> Tensor:
    start = torch.zeros(1, len(x), 3), torch.zeros(1, len(x), 3)
    return m.head(m.rnn(x, start)[0].mean(1))


def start_in_own_precision(m, x: Tensor) -> Tensor:
    return m.head(m.rnn(x)[0].mean(1))


def packed(m, x: Tensor) -> Tensor:
    sequence = pack_padded_sequence(x, [5] * len(x), batch_first=True)
    return m.head(m.rnn(sequence)[1][0][-1])


def by_cells(m, x: Tensor) -> Tensor:
    h = c = x.new_zeros(len(x), 3)
    for step in x.unbind(1):
        h, c = m.cell(step, (h, c))
    return m.head(h)


def by_gates(m, x: Tensor) -> Tensor:
    h = torch.zeros_like(x[:, 0, :3])
    for step in x.unbind(1):
        h = m.cell(step, h)
    return m.head(h)


def attention_pooling(m, x: Tensor) -> Tensor:
    states = m.rnn(x)[0]
    return m.head((m.score(states).softmax(1) * states).sum(1))


def convolutional_lstm(m, x: Tensor) -> Tensor:
    h = c = x.new_zeros(len(x), 2, 8, 8)
    for _ in range(2):
        i, f, o, g = m.gates(torch.cat([x, h], 1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
    return m.head(h.mean((2, 3)))


def state_space(m, x: Tensor) -> Tensor:
    """A diagonal state space, of complex numbers whose parts are parameters (S4D)."""
    decay = torch.exp(torch.complex(-m.rate.exp(), m.turn))
    state, outputs = torch.zeros(len(x), 3, dtype=decay.dtype), []
    for step in m.into(x).unbind(1):
        state = state * decay + step
        outputs.append(state.real)
    return m.head(torch.stack(outputs, 1).mean(1))


CASES = {
    "LSTM": Case(lambda: last_state(nn.LSTM(4, 3, batch_first=True), 3), "sequences"),
    "LSTM both ways, two layers": Case(
        lambda: last_state(nn.LSTM(4, 3, 2, batch_first=True, bidirectional=True, dropout=0.3), 6),
        "sequences",
    ),
    "LSTM with projections": Case(
        lambda: last_state(nn.LSTM(4, 5, proj_size=3, batch_first=True), 3), "sequences"
    ),
    "LSTM, time first": Case(
        lambda: Wired(
            lambda m, x: m.head(m.rnn(x.transpose(0, 1))[0][-1]),
            rnn=nn.LSTM(4, 3),
            head=nn.Linear(3, 3),
        ),
        "sequences",
    ),
    "LSTM from zeros made in forward": Case(
        lambda: Wired(with_start, rnn=nn.LSTM(4, 3, batch_first=True), head=nn.Linear(3, 3)),
        "sequences",
        start_in_own_precision,
    ),
    "packed LSTM": Case(
        lambda: Wired(packed, rnn=nn.LSTM(4, 3, batch_first=True), head=nn.Linear(3, 3)),
        "sequences",
    ),
    "GRU": Case(lambda: last_state(nn.GRU(4, 3, batch_first=True), 3), "sequences"),
    "GRU with attention pooling": Case(
        lambda: Wired(
            attention_pooling,
            rnn=nn.GRU(4, 3, batch_first=True, bidirectional=True),
            score=nn.Linear(6, 1),
            head=nn.Linear(6, 3),
        ),
        "sequences",
    ),
    "RNN": Case(lambda: last_state(nn.RNN(4, 3, batch_first=True), 3), "sequences"),
    "RNN with ReLU": Case(
        lambda: last_state(nn.RNN(4, 3, batch_first=True, nonlinearity="relu"), 3), "sequences"
    ),
    "LSTM cells": Case(
        lambda: Wired(by_cells, cell=nn.LSTMCell(4, 3), head=nn.Linear(3, 3)), "sequences"
    ),
    "GRU cells": Case(
        lambda: Wired(by_gates, cell=nn.GRUCell(4, 3), head=nn.Linear(3, 3)), "sequences"
    ),
    "convolutional LSTM": Case(
        lambda: Wired(convolutional_lstm, gates=nn.Conv2d(5, 8, 3, padding=1), head=nn.Linear(2, 3))
    ),
    "state space": Case(
        lambda: Wired(
            state_space,
            into=nn.Linear(4, 3),
            rate=parameter(3),
            turn=parameter(3),
            head=nn.Linear(3, 3),
        ),
        "sequences",
    ),
}
