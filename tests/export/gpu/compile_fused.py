"""Compiles a fused kernel for cards that are not there, and prints what its products became."""

import importlib.util
import sys
from typing import Any

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

ARRAYS = {"x": "*fp32", "y": "*fp32", "weights": "*fp32", "tables": "*i32", "events": "i32"}

TENSOR_CORES = "mma.sync", "wgmma.mma_async"  # IEEE products use neither


def compiled(network: Any, card: int, kind: Any, products: str) -> Any:
    source = ASTSource(
        network,
        ARRAYS | dict.fromkeys(("E", "KIND", "PRODUCTS"), "constexpr"),
        {"E": 16, "KIND": kind, "PRODUCTS": products},
    )
    return triton.compile(source, target=GPUTarget("cuda", card, 32), options={"num_warps": 8})


def main(path: str) -> None:
    spec = importlib.util.spec_from_file_location("fused", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for card, kind, products in (
        (90, tl.float32, "ieee"),
        (90, tl.float32, "tf32x3"),
        (75, tl.float32, "tf32x3"),
        (80, tl.float16, "ieee"),
    ):
        made = compiled(module.network, card, kind, products)
        assert made.asm["cubin"][:4] == b"\x7fELF"
        units = "mma" if any(name in made.asm["ptx"] for name in TENSOR_CORES) else "0"
        print(f"{card}:{kind}:{products}:{units}")


main(sys.argv[1])
