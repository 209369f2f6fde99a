"""The cell of an LSTM."""

from __future__ import annotations

import torch
from torch import Tensor

from spectra.products.sequences.cells import (
    Cell,
    Kept,
    as_states,
    handed_back,
    shifted,
    with_product,
)


class LongShortTerm(Cell):
    """The LSTM's: c = f c + i g and h = o s with s = tanh c, the gates in the order i, f, g, o."""

    gates = 4

    def run(self, from_inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Kept:
        """Return the states, the gates and c."""
        a = from_inputs if bias is None else from_inputs + bias
        n, size = a.shape[1], a.shape[2] // 4
        h = c = a.new_zeros((n, size))
        states, cells, gates = [], [], []
        for step in a:
            step = torch.addmm(step, h, weight.T).view(n, 4, size)
            i, f, _, o = step.sigmoid().unbind(1)
            g = step[:, 2].tanh()
            c = torch.addcmul(i * g, f, c)
            h = o * c.tanh()
            states.append(h)
            cells.append(c)
            gates.append(torch.stack([i, f, g, o], 1))
        return {**as_states(states), "gates": torch.stack(gates), "c": torch.stack(cells)}

    def back(self, kept: Kept, delta: Tensor, weight: Tensor) -> None:
        """Take the cotangents of h, c and a back through time; keep the second derivatives."""
        i, f, g, o = kept.pop("gates").unbind(2)
        c = kept.pop("c")
        before, s = shifted(c), c.tanh()
        di, df, dg, do, ds = i * (1 - i), f * (1 - f), 1 - g * g, o * (1 - o), 1 - s * s
        kept["slopes"] = slopes = torch.stack([g * di, before * df, i * dg, s * do], 2)
        kept["f"], kept["through"] = f, o * ds
        of_h, of_c = torch.empty_like(c), torch.empty_like(c)
        found = torch.empty_like(slopes)
        carried_h = carried_c = torch.zeros_like(c[0])
        for t in reversed(range(len(c))):
            torch.add(delta[t], carried_h, out=of_h[t])
            torch.addcmul(carried_c, of_h[t], kept["through"][t], out=of_c[t])
            torch.mul(slopes[t, :, :3], of_c[t].unsqueeze(1), out=found[t, :, :3])
            torch.mul(slopes[t, :, 3], of_h[t], out=found[t, :, 3])
            carried_h, carried_c = found[t].flatten(1) @ weight, of_c[t] * f[t]
        kept["of inputs"] = kept["of states"] = found.flatten(2)
        kept["bends"] = torch.stack(
            [found[:, :, 0] * (1 - 2 * i), found[:, :, 1] * (1 - 2 * f), -2 * found[:, :, 2] * g,
             found[:, :, 3] * (1 - 2 * o)], 2,
        )  # fmt: skip
        kept["i and g"], kept["f and c"] = of_c * di * dg, of_c * df
        kept["o and c"], kept["c and c"] = of_h * do * ds, -2 * of_h * o * s * ds

    def moved(self, kept: Kept, of_inputs: Tensor, of_states: Tensor, weight: Tensor) -> Kept:
        """Return dh from dc = f dc + i' g di + ..., and dc and da."""
        da, states, cells = of_states.add_(of_inputs), list[Tensor](), list[Tensor]()
        slopes, f, through = kept["slopes"], kept["f"], kept["through"]
        shape = (*da.shape[1:3], *slopes.shape[2:])
        dh = dc = da.new_zeros((*shape[:2], shape[3]))
        for t in range(len(da)):
            terms = with_product(da[t], dh, weight.T).view(shape) * slopes[t]
            dc = torch.addcmul(terms[:, :, :3].sum(2), f[t], dc)
            dh = torch.addcmul(terms[:, :, 3], through[t], dc)
            states.append(dh)
            cells.append(dc)
        return {**as_states(states), "a": da.unflatten(3, (4, -1)), "c": torch.stack(cells)}

    def moved_back(
        self, kept: Kept, moved: Kept, d_delta: Tensor, crossed: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the tangents of δa: second derivatives for all steps at once, then the chain."""
        da, dc = moved["a"], moved["c"]
        names = ("bends", "i and g", "f and c", "o and c", "c and c")
        bends, i_g, f_c, o_c, c_c = (kept[name].unsqueeze(1) for name in names)
        found = bends * da
        found[..., 0, :].addcmul_(i_g, da[..., 2, :])
        found[..., 1, :].addcmul_(f_c, shifted(dc))
        found[..., 2, :].addcmul_(i_g, da[..., 0, :])
        found[..., 3, :].addcmul_(o_c, dc)
        of_c = torch.addcmul(o_c * da[..., 3, :], c_c, dc)
        of_c[:-1].addcmul_(f_c[1:], da[1:, ..., 1, :])
        of_h = handed_back(d_delta, crossed)
        slopes, f, through = kept["slopes"], kept["f"], kept["through"]
        for t in reversed(range(len(found))):
            if t + 1 < len(found):
                with_product(of_h[t], found[t + 1].flatten(2), weight)
                of_c[t].addcmul_(f[t + 1], of_c[t + 1])
            of_c[t].addcmul_(through[t], of_h[t])
            found[t, :, :, :3].addcmul_(slopes[t, :, :3], of_c[t].unsqueeze(2))
            found[t, :, :, 3].addcmul_(slopes[t, :, 3], of_h[t])
        flat = found.flatten(3)
        return flat, flat
