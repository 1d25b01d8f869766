"""Without a card, Triton's kernels are interpreted: it looks once, at its first import."""

import os
import sys

import torch

if not torch.cuda.is_available() and "triton" not in sys.modules:
    os.environ["TRITON_INTERPRET"] = "1"
