"""What users build on: the stage functions and the records between them, frozen.

A change here is a change for users: say so in the notes of the release.
"""

import dataclasses
import inspect
from importlib import import_module

import pytest

FUNCTIONS = {
    "triggerforge.data.generate.generate": "config, seed, folder",
    "triggerforge.data.load.load": "config, generated, seed, folder",
    "triggerforge.data.load.load_splits": "folder",
    "triggerforge.data.score.score_file": "predict, config, contract, source, out",
    "triggerforge.training.train.train": "config, splits, seed, folder",
    "triggerforge.training.trained.load_trained": "folder",
    "triggerforge.training.metrics.classification_metrics": "logits, y, weight, classes",
    "triggerforge.compression.lowering.lower": "module, contract, quantization",
    "triggerforge.compression.compress.compress": "config, trained, splits, seed, folder",
    "triggerforge.compression.qkeras_file.read_qkeras": "path, contract",
    "triggerforge.export.export.export": "config, trained, quantized, folder",
    "triggerforge.firmware.build.build": "config, quantized, folder",
    "triggerforge.benchmark.run.benchmark": "config, source, splits, network, seed, folder",
    "triggerforge.trigger.run.rates": "config, splits, run, formats, sample, folder",
    "triggerforge.report.write.write_report": "config, result, folders, path",
}
RECORDS = {
    "triggerforge.data.contract.InputFeature": "name unit offset shift format padding",
    "triggerforge.data.contract.InputContract": "features shape order",
    "triggerforge.data.dataset.Dataset": "x y weight contract classes mask observables",
    "triggerforge.data.dataset.Splits": "train validation test background",
    "triggerforge.training.trained.TrainedModel": "module contract classes architecture history background",
    "triggerforge.compression.quantized_model.QuantizedModel": (
        "alir contract classes keras_file ebops layers versions format_version trace_check"
    ),
    "triggerforge.export.runtime.EngineSource": "trained quantized export_folder firmware_folder",
}


def find(path: str) -> object:
    module, name = path.rsplit(".", 1)
    return getattr(import_module(module), name)


@pytest.mark.parametrize("path", FUNCTIONS)
def test_functions_keep_their_first_parameters(path: str) -> None:
    function = find(path)
    assert callable(function)
    names = list(inspect.signature(function).parameters)
    frozen = FUNCTIONS[path].split(", ")
    assert names[: len(frozen)] == frozen
    rest = list(inspect.signature(function).parameters.values())[len(frozen) :]
    assert all(p.default is not p.empty for p in rest), "a new parameter needs a default"


@pytest.mark.parametrize("path", RECORDS)
def test_records_keep_their_fields(path: str) -> None:
    record = find(path)
    assert isinstance(record, type) and dataclasses.is_dataclass(record)
    assert [f.name for f in dataclasses.fields(record)] == RECORDS[path].split()
