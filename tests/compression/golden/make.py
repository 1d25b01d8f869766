"""Makes the golden file of the current format version: `python tests/compression/golden/make.py`.

Run once for each new version, then never again: the file must load and predict the same for ever.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from triggerforge.compression.backend import hgq
from triggerforge.compression.lowering import lower
from triggerforge.compression.quantized_model import FORMAT_VERSION, QuantizedModel, corner_inputs
from triggerforge.compression.scheme import QuantizationScheme
from triggerforge.data.contract import InputContract, InputFeature
from triggerforge.fixedpoint import FixedFormat


class Network(nn.Module):
    """Dense layers per particle, a mask, a sum, a table activation."""

    def __init__(self) -> None:
        super().__init__()
        self.phi = nn.Linear(3, 4)
        self.act = nn.Tanh()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, 3) to (N, 3)."""
        latent = torch.relu(self.phi(x)) * x[..., -1:]
        result: Tensor = self.head(self.act(latent.mean(1)))
        return result


def main() -> None:
    """Writes v<version>.tfq and v<version>.npz beside this file."""
    formats = ("ap_fixed<8,3,RND,SAT>", "ap_fixed<6,2,RND_CONV,SAT_SYM>", "ap_ufixed<1,1>")
    features = [
        InputFeature(name, "GeV", 1.0, 2, FixedFormat.parse(text))
        for name, text in zip(("pt", "eta", "valid"), formats, strict=True)
    ]
    contract = InputContract(tuple(features), (4, 3), "pT, falling")
    torch.manual_seed(1)
    scheme = QuantizationScheme(weight_bits=5, activation_fraction=4, table_bits=5)
    model = lower(Network().eval(), contract, scheme)
    x = corner_inputs(contract, 100, seed=3)
    hgq.utils.trace_minmax(model, x)
    quantized = QuantizedModel.from_keras(model, contract, ("q", "g", "t"))
    target = Path(__file__).parent / f"v{FORMAT_VERSION}.tfq"
    quantized.save(target)
    np.savez_compressed(target.with_suffix(".npz"), x=x, y=quantized.predict(x))


if __name__ == "__main__":
    main()
