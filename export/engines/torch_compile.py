"""The full-precision torch module, compiled for this CPU by TorchInductor."""

import copy
import hashlib
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from triggerforge.errors import ToolFailedError
from triggerforge.export.engines.fixed import FixedBatchRuntime
from triggerforge.export.native.build import cache_key
from triggerforge.runfolder import cache_folder
from triggerforge.tools import require
from triggerforge.training.trained import TrainedModel

SETTINGS: dict[str, Any] = {
    "freezing": True,  # weights are constants of the code
    "max_autotune": True,  # its own small products are faster than the library's
    "autotune_num_choices_displayed": 0,  # else it prints what it timed
    "max_autotune_report_choices_stats": False,
}


class TorchCompileRuntime(FixedBatchRuntime):
    """The module through torch.compile's compiler, ahead of time, for each number of events.

    Ahead of time (AOTInductor) because what `torch.compile` itself gives back checks its guards in
    Python at every call: for a small network that takes longer than eager torch does. How many
    threads is torch's own setting. A compilation takes from half a minute to several, most of it
    spent on timing candidates for each layer; its result is kept in the user's cache, by the
    module's graph and weights, torch's version and this CPU.

    Raises MissingToolError without g++; calls raise ToolFailedError if the compilation fails.
    """

    blocks = (1024,)
    """each would have to be compiled to be timed"""

    def __init__(self, trained: TrainedModel) -> None:
        require("g++")
        shape, outputs = trained.contract.shape, len(trained.task.outputs)
        super().__init__("torch-compile", shape, outputs, np.float32)
        self._module = copy.deepcopy(trained.module).cpu().eval().requires_grad_(False)

    def build(self, events: int) -> Any:
        """The compiled module: a function of a list of tensors."""
        with warnings.catch_warnings():
            # torch warns of its own deprecated calls
            warnings.simplefilter("ignore")
            try:
                program = torch.export.export(
                    self._module, (torch.zeros((events, *self._shape)),), strict=False
                )
                package = _compiled(program)
                return torch._inductor.aoti_load_package(str(package)).loader.run
            except Exception as error:  # the compiler's parts have no common base class
                raise ToolFailedError(f"torch cannot compile the module: {error}") from error

    def place(self, network: Any, x: NDArray[np.float32], y: NDArray[Any]) -> Callable[[], object]:
        """A call on tensors that share the memory of x and y; the last layer's output is copied."""
        source, target = [torch.from_numpy(x)], torch.from_numpy(y)

        def call() -> None:
            target.copy_(network(source)[0])

        return call


def _compiled(program: torch.export.ExportedProgram) -> Path:
    """The compiled package of `program`, from the cache if it is there."""
    path = cache_folder("inductor") / f"{_key(program)}.pt2"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".build-") as folder:
            made = torch._inductor.aoti_compile_and_package(
                program, package_path=f"{folder}/network.pt2", inductor_configs=SETTINGS
            )
            Path(made).replace(path)
    return path


def _key(program: torch.export.ExportedProgram) -> str:
    """A hash of the graph, the weights, torch's version, the compiler and the CPU."""
    weights = hashlib.sha256()
    for name, tensor in sorted([*program.state_dict.items(), *program.constants.items()]):
        weights.update(name.encode() + tensor.detach().numpy().tobytes())
    return cache_key(
        require("g++"),
        {
            "graph": str(program.graph_module.code) + str(program.graph_signature),
            "shapes": str([tuple(a.shape) for a in program.example_inputs[0]]),
            "weights": weights.hexdigest(),
            "torch": f"{torch.__version__} {SETTINGS}",
        },
    )
