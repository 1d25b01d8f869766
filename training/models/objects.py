"""What networks on lists of trigger objects share: which objects are there, and what each counts.

An object is the inputs of one stem: eg0_pt, eg0_eta, eg0_phi. One without pT is padding.
"""

from collections.abc import Mapping
from math import log2

import numpy as np
import torch
from torch import Tensor, nn

from triggerforge.data.contract import InputContract
from triggerforge.errors import ModelError, did_you_mean
from triggerforge.training.models.blocks import describe


def require_flat(contract: InputContract, model: str) -> int:
    """The number of inputs; raises ModelError where events are no plain list of numbers."""
    if len(contract.shape) != 1:
        raise ModelError(
            f"{model} needs events that are a list of numbers; the contract's inputs "
            f"{describe(contract)} have shape {contract.shape}: choose l1_objects or features as "
            "input in `data`, or another model"
        )
    return contract.shape[0]


class ObjectError(nn.Module):
    """Squared distance of inputs and their reconstruction, where there is an object.

    The error of an event is Σ_i w_i m_i (x_i − r_i)²: m_i is 0 where the object's pT is 0, and w_i is
    the power of two nearest to one over the number of inputs of that kind of object, so that ten jets
    count as much as one MET, and firmware only moves the binary point. `weights` multiplies w_i by
    kind and by quantity, {jet: 2, phi: 0.25}.
    """

    owner: Tensor
    absent: Tensor
    weight: Tensor
    per_step: Tensor

    def __init__(self, contract: InputContract, weights: Mapping[str, float]) -> None:
        super().__init__()
        names = contract.names
        stems = [name.rpartition("_")[0] or name for name in names]
        kinds = [stem.rstrip("0123456789") for stem in stems]
        quantities = [name.rpartition("_")[2] for name in names]
        for key, value in weights.items():
            if key not in {*kinds, *quantities}:
                known = sorted({*kinds, *quantities})
                raise ModelError(f"weights: no input is of {key!r}; {did_you_mean(key, known)}")
            if value < 0:
                raise ModelError(f"weights: {key} is {value}; a weight is 0 or more")
        owner = [_momentum(names, stem, i) for i, stem in enumerate(stems)]
        padded = [names[o] == f"{stem}_pt" for o, stem in zip(owner, stems, strict=True)]
        share = [2.0 ** -round(log2(kinds.count(kind))) for kind in kinds]
        extra = [
            weights.get(k, 1.0) * weights.get(q, 1.0)
            for k, q in zip(kinds, quantities, strict=True)
        ]
        self.register_buffer("owner", torch.tensor(owner))
        self.register_buffer("absent", _absent(contract, owner, padded))
        self.register_buffer("weight", torch.tensor(np.multiply(share, extra), dtype=torch.float32))
        self.rows = _rows(contract)
        steps = [f.format.lsb for f in contract.features[::3]] if self.rows else []
        self.register_buffer("per_step", 1 / torch.tensor(steps)[:, None])

    def present(self, x: Tensor) -> Tensor:
        """x (N, inputs) to (N, inputs): 1 where the input's object is there, else 0."""
        return (x[:, self.owner] > self.absent).to(x.dtype)

    def in_hardware(self, x: Tensor, reconstructed: Tensor) -> Tensor:
        """The same (N, 1), of operations with a fixed-point form, for inputs on their grid.

        Where inputs come in threes of pT, η, φ without offset, m = 1 − max(0, 1 − pT in steps); of other
        inputs none is left out.
        """
        difference = x - reconstructed
        terms = difference * difference * self.weight
        if self.rows:
            momenta = x.reshape(-1, self.rows, 3)[:, :, :1]
            missing = torch.relu(1.0 - momenta * self.per_step)
            terms = (terms.reshape(-1, self.rows, 3) * (1.0 - missing)).flatten(1)
        score: Tensor = terms.sum(dim=1, keepdim=True)
        return score

    def forward(self, x: Tensor, reconstructed: Tensor) -> Tensor:
        """Both (N, inputs), to the error of each event, (N,)."""
        error: Tensor = ((x - reconstructed).square() * self.present(x) * self.weight).sum(dim=1)
        return error


def _rows(contract: InputContract) -> int:
    """How many objects there are, each of pT, η, φ without offset; 0 for other inputs."""
    names = contract.names
    rows = len(names) // 3
    stems = [name.removesuffix("_pt") for name in names[::3]]
    wanted = tuple(f"{stem}_{quantity}" for stem in stems for quantity in ("pt", "eta", "phi"))
    offsets = any(f.offset for f in contract.features[::3])
    return rows if names == wanted and not offsets else 0


def _momentum(names: tuple[str, ...], stem: str, own: int) -> int:
    """The place of the pT of an input's object; its own where the object has none."""
    return names.index(f"{stem}_pt") if f"{stem}_pt" in names else own


def _absent(contract: InputContract, owner: list[int], padded: list[bool]) -> Tensor:
    """Half a step above x of a pT of 0: nothing at or below it is an object; −inf without a pT."""
    features = [contract.features[o] for o in owner]
    zero = [-f.offset * 2.0**-f.shift + f.format.lsb / 2 for f in features]
    return torch.tensor(np.where(padded, zero, -np.inf), dtype=torch.float32)
