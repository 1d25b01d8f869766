"""The full-precision torch model as ONNX."""

import copy
import logging
import warnings

import onnx
import torch

from triggerforge.errors import UnsupportedOperationError
from triggerforge.export.metadata import metadata
from triggerforge.training.trained import TrainedModel


def float_onnx(trained: TrainedModel) -> onnx.ModelProto:
    """Input `x` float32 (batch, *shape), output `logits` float32 (batch, classes).

    Raises UnsupportedOperationError if torch cannot export the module.
    """
    module = copy.deepcopy(trained.module).cpu().eval()
    # two events: torch takes an axis of length 1 for a constant
    example = torch.zeros((2, *trained.contract.shape))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # torch's exporter warns of its own deprecated pytree calls
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            # recurrent layers keep a list of their weights, and torch traces their loop
            warnings.filterwarnings("ignore", "(?s)The tensor attributes? .*_flat_weights")
            warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
            program = torch.onnx.export(
                module,
                (example,),
                input_names=["x"],
                output_names=["logits"],
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        first = str(error).strip().splitlines()[0]
        raise UnsupportedOperationError(
            f"torch cannot export {type(module).__name__} to ONNX: {first}; use operations that "
            "torch.export can trace for any number of events"
        ) from error
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, metadata(trained.contract, trained.task.outputs))
    onnx.checker.check_model(model)
    return model
