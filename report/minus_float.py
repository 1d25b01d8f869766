"""What quantisation costs: the metrics of each form less the float model's, on the same test events."""

from dataclasses import replace
from typing import Any

from triggerforge.report.material import Material
from triggerforge.training.differences import differences
from triggerforge.training.task import Task

MINUS_FLOAT = "metrics_minus_float"
"""key of result.json: {"quantized": {…}, "firmware": {…}} as `differences` gives them"""


def with_differences(material: Material) -> Material:
    """`material` with the differences in its result, for the forms that have metrics of the test events."""
    reference = material.scores.get("float")
    if reference is None or material.splits is None:
        return material
    test, task = material.splits.test, Task.of(material.splits)
    found: dict[str, Any] = {}
    for model, outputs in material.scores.items():
        if model == "float" or "auc" not in (material.get("metrics", model) or {}):
            continue
        n = min(len(outputs), len(reference))
        found[model] = differences(outputs[:n], reference[:n], test.y[:n], test.weight[:n], task)
    return replace(material, result={**material.result, MINUS_FLOAT: found})
