"""The cell of a GRU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from spectra.products.sequences.cells import (
    Cell,
    Kept,
    as_states,
    handed_back,
    with_product,
)


class Gated(Cell):
    """The GRU's: h' = (1 - z) m + z h with m = tanh(x part + r q), the gates r, z and then m.

    q is the last state's part of m's argument; r and z are of both parts added up.
    """

    gates = 3

    def run(self, from_inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Kept:
        """Return the states, the gates and q."""
        n, size = from_inputs.shape[1], from_inputs.shape[2] // 3
        h, states, gates = from_inputs.new_zeros((n, size)), [], []
        for step in from_inputs.unflatten(2, (3, size)):
            part = F.linear(h, weight, bias).view(n, 3, size)
            r, z = (step[:, :2] + part[:, :2]).sigmoid().unbind(1)
            q = part[:, 2]
            m = torch.addcmul(step[:, 2], r, q).tanh()
            h = torch.lerp(m, h, z)
            states.append(h)
            gates.append(torch.stack([r, z, m, q], 1))
        return {**as_states(states), "gates": torch.stack(gates)}

    def back(self, kept: Kept, delta: Tensor, weight: Tensor) -> None:
        """Take the cotangents of h and a back through time; keep the second derivatives."""
        r, z, m, q = kept.pop("gates").unbind(2)
        before = kept["before"]
        dr, dz, dm = r * (1 - r), z * (1 - z), 1 - m * m
        through = (1 - z) * dm
        of_r, of_z = through * q * dr, (before - m) * dz
        kept["slopes"] = slopes = torch.stack([of_r, of_z, through * r], 2)
        kept["through"], kept["z"] = through, z
        total, found = torch.empty_like(m), torch.empty_like(slopes)
        carried = torch.zeros_like(m[0])
        for t in reversed(range(len(m))):
            torch.add(delta[t], carried, out=total[t])
            torch.mul(slopes[t], total[t].unsqueeze(1), out=found[t])
            carried = torch.addmm(total[t] * z[t], found[t].flatten(1), weight)
        kept["of states"] = found.flatten(2)
        kept["of inputs"] = torch.stack(
            [found[:, :, 0], found[:, :, 1], through * total], 2
        ).flatten(2)
        # m's argument moves by x + q' r + r' q; the slope "through" by what follows from that.
        kept["r"], kept["q dr"], kept["dm"] = r, q * dr, dm
        kept["through by m"], kept["through by z"] = -2 * m * through, -dz * dm
        kept["total"], kept["total dz"] = total, total * dz
        kept["r and q"] = total * through * dr
        kept["r and r"], kept["z and z"] = (
            found[:, :, 0] * (1 - 2 * r),
            found[:, :, 1] * (1 - 2 * z),
        )

    def moved(self, kept: Kept, of_inputs: Tensor, of_states: Tensor, weight: Tensor) -> Kept:
        """Return dh from what the inputs change at once and the last state step by step."""
        slopes, z = kept["slopes"], kept["z"]
        x_part, h_part = of_inputs.unflatten(3, (3, -1)), of_states.unflatten(3, (3, -1))
        known = (slopes[:, :, :2].unsqueeze(1) * x_part[..., :2, :]).sum(3)
        known.addcmul_(kept["through"].unsqueeze(1), x_part[..., 2, :])
        states, dh = [], torch.zeros_like(known[0])
        for t in range(len(known)):
            with_product(of_states[t], dh, weight.T)
            dh = torch.addcmul(known[t] + (slopes[t] * h_part[t]).sum(2), z[t], dh)
            states.append(dh)
        return {**as_states(states), "x part": x_part, "h part": h_part}

    def moved_back(
        self, kept: Kept, moved: Kept, d_delta: Tensor, crossed: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the tangents of δa: second derivatives for all steps at once, then the chain."""
        names = ("r", "q dr", "dm", "through by m", "through by z", "total", "total dz")
        r, q_dr, dm, by_m, by_z, total, total_dz = (kept[name].unsqueeze(1) for name in names)
        r_q, r_r, z_z = (kept[k].unsqueeze(1) for k in ("r and q", "r and r", "z and z"))
        x_part, h_part = moved["x part"], moved["h part"]
        da_r, da_z = (x_part[..., i, :] + h_part[..., i, :] for i in (0, 1))
        dq = h_part[..., 2, :]
        argument = x_part[..., 2, :] + q_dr * da_r + r * dq
        d_through = total * (by_m * argument + by_z * da_z)
        of_z = total_dz * (moved["before"] - dm * argument) + z_z * da_z
        of_r = q_dr * d_through + r_q * dq + r_r * da_r
        of_states = torch.stack([of_r, of_z, r * d_through + r_q * da_r], 3)
        of_h, through_z = handed_back(d_delta, crossed), total_dz * da_z
        of_h[:-1] += through_z[1:]
        slopes, z = kept["slopes"], kept["z"]
        for t in reversed(range(len(of_h))):
            if t + 1 < len(of_h):
                with_product(of_h[t], of_states[t + 1].flatten(2), weight)
                of_h[t].addcmul_(z[t + 1], of_h[t + 1])
            of_states[t].addcmul_(slopes[t].unsqueeze(0), of_h[t].unsqueeze(2))
        of_m = d_through.addcmul_(kept["through"].unsqueeze(1), of_h)
        of_inputs = torch.stack([of_states[..., 0, :], of_states[..., 1, :], of_m], 3)
        return of_inputs.flatten(3), of_states.flatten(3)
