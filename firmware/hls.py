"""The hls4ml project: written from the HGQ2 model, compiled with g++, ready for the vendor's tool."""

import contextlib
import io
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triggerforge.command import run_tool
from triggerforge.compression.layer_tree import operations
from triggerforge.compression.quantized_model import QuantizedModel
from triggerforge.config.firmware import FirmwareConfig
from triggerforge.data.contract import InputContract
from triggerforge.errors import ConfigError, MissingToolError, ModelError, ToolFailedError
from triggerforge.firmware.hls_saturation import ends_are_kept
from triggerforge.firmware.library import seal_library
from triggerforge.fixedpoint import FixedFormat
from triggerforge.runfolder import write_atomic
from triggerforge.tools import Tool

_LOG = "hls4ml.log"
_BRIEF = 200  # characters
_VITIS = "choose firmware.hls.backend Vitis"
_ANOTHER = {"Vitis": "choose another firmware.hls.strategy or backend"}
_COMPILERS = {"oneAPI": "icpx", "Libero": "shls"}
"""backends of which hls4ml compiles the project with the vendor's compiler"""


def write_project(
    config: FirmwareConfig,
    quantized: QuantizedModel,
    inputs: NDArray[Any],
    expected: NDArray[Any],
    folder: Path,
) -> None:
    """Writes the project with precisions from the model, and the vendor's test bench data.

    inputs (N, *shape) and expected (N, outputs) go to tb_data. Every path in it is relative: the
    folder can be moved. Raises ModelError with hls4ml's own words where it refuses the model,
    MissingToolError where it needs the vendor's tools to write.
    """
    if config.hls.backend == "Libero" and not shutil.which("shls"):
        raise MissingToolError(
            "hls4ml writes Libero projects with Microchip's SmartHLS, and shls was not found on PATH; "
            f"install SmartHLS, or {_VITIS}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    log = io.StringIO()
    try:
        with (
            contextlib.redirect_stdout(log),
            warnings.catch_warnings(record=True) as warned,
            ends_are_kept(),
        ):
            warnings.simplefilter("always")
            _convert(config, quantized, folder).write()
    except Exception as error:
        raise ModelError(
            f"hls4ml ({config.hls.backend}, {config.hls.strategy}) refuses the model: "
            f"{_brief(error)}; {_ANOTHER.get(config.hls.backend, _VITIS)}, or set "
            "firmware.hls.enabled: false"
        ) from error
    finally:
        told = dict.fromkeys(str(warning.message) for warning in warned)
        (folder / _LOG).write_text("\n".join([log.getvalue(), "warnings:", *told, ""]))
    _make_movable(folder)
    _write_bench(inputs, expected, folder / "tb_data")


def leave_log(folder: Path) -> None:
    """Clears what a refused model left half written; what hls4ml said stays."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _LOG:
            path.unlink()


def _brief(error: Exception) -> str:
    """Kind and first line of an error that is not ours."""
    first = str(error).partition("\n")[0]
    told = first if len(first) <= _BRIEF else first[:_BRIEF] + "…"
    return f"{type(error).__name__}: {told}"


def _convert(config: FirmwareConfig, quantized: QuantizedModel, folder: Path) -> Any:
    """hls4ml's ModelGraph."""
    import hls4ml

    reference = quantized.keras_model()
    _count_axes_from_the_end(reference)
    model = {
        "Precision": "ap_fixed<16,6>",  # of what is not quantised; the model's own formats rule
        "ReuseFactor": config.hls.reuse_factor,
        "Strategy": config.hls.strategy,
    }
    options = {}
    if config.hls.backend in ("Vitis", "Vivado"):
        percent = f"{100 * config.hls.clock_uncertainty:g}%"
        # weights in headers: the compiled library then needs no file beside it
        options = {"clock_uncertainty": percent, "write_weights_txt": False}
    return hls4ml.converters.convert_from_keras_model(
        reference,
        output_dir=str(folder),
        project_name=config.name,
        backend=config.hls.backend,
        io_type="io_parallel",
        part=config.part,
        clock_period=config.clock_ns,
        hls_config={
            "Model": model,
            # hls4ml would work the port's format out from its first quantisers, and fails where
            # something stands between: the contract knows it
            "LayerName": {
                layer.name: {"Precision": str(port_format(quantized.contract)), "Trusted": True}
                for layer in reference.inputs
            },
        },
        **options,
    )


def _count_axes_from_the_end(model: Any) -> None:
    """hls4ml 1.3 takes Keras' axis of a concatenation for one that leaves the batch out."""
    for _, layer in operations(model):
        if type(layer).__name__ == "Concatenate" and layer.axis > 0:
            layer.axis -= len(layer.output.shape)


def port_format(contract: InputContract) -> FixedFormat:
    """A format that holds every value of every input."""
    formats = [feature.format for feature in contract.features]
    signed = any(fmt.signed for fmt in formats)
    integer = max(fmt.integer + (signed and not fmt.signed) for fmt in formats)
    fraction = max(fmt.fraction for fmt in formats)
    try:
        return FixedFormat(integer + fraction, integer, signed)
    except ConfigError as error:
        largest = max(contract.features, key=lambda feature: feature.format.integer)
        finest = max(contract.features, key=lambda feature: feature.format.fraction)
        raise ModelError(
            f"hls4ml has one type for all inputs: {largest.name!r} ({largest.format}) and "
            f"{finest.name!r} ({finest.format}) need {integer + fraction} bits together, at most 52 are "
            "possible; give them formats of a more similar scale in data.precision.formats"
        ) from error


def _make_movable(folder: Path) -> None:
    """hls4ml notes where it wrote; the notes must hold wherever the folder goes."""
    path = folder / "hls4ml_config.yml"
    if path.is_file():
        write_atomic(path, path.read_text().replace(str(folder), "."))


def _write_bench(inputs: NDArray[Any], expected: NDArray[Any], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    files = {"tb_input_features.dat": inputs, "tb_output_predictions.dat": expected}
    for name, values in files.items():
        np.savetxt(folder / name, np.reshape(values, (len(values), -1)), fmt="%.17g")


def compile_project(
    config: FirmwareConfig, quantized: QuantizedModel, gcc: Tool, folder: Path
) -> None:
    """Runs the project's build_lib.sh, as hls4ml's `compile()` does, and seals the library.

    Raises MissingToolError where the backend compiles with a vendor's compiler, ToolFailedError with
    the end of the log where the compiler fails.
    """
    script = folder / "build_lib.sh"
    if not script.is_file():
        compiler = _COMPILERS.get(config.hls.backend, "the vendor's compiler")
        raise MissingToolError(
            f"hls4ml compiles {config.hls.backend} projects with {compiler}, not with {gcc.name}; "
            "use the backend Vitis for a C simulation here"
        )
    bash = Tool("g++ (build_lib.sh)", "", "", True, command=("bash",))
    run_tool(bash, [script.name], folder, "g++.log")
    built = list((folder / "firmware").glob(f"{config.name}*.so"))
    if len(built) != 1:
        raise ToolFailedError(
            f"build_lib.sh left {len(built)} libraries in {folder}/firmware, not 1"
        )
    library = built[0].rename(folder / "firmware" / f"{config.name}.so")
    inputs, outputs = quantized.alir.shape
    seal_library(
        folder,
        str(library.relative_to(folder)),
        function=f"{config.name}_double",
        inputs=inputs,
        outputs=outputs,
    )
