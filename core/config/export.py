"""Configuration of the stage `export`."""

from pydantic import Field

from triggerforge.config.base import Config


class ExportConfig(Config):
    """ONNX files: the float model, the quantised model bit for bit, and its QONNX form."""

    qonnx: bool = True
    """Write quantized.qonnx.onnx, with `Quant` nodes, for FPGA tools (FINN, hls4ml, …)."""
    check_events: int = Field(default=512, ge=1)
    """Random events on the input grid with which every file is compared with its model."""
    float_tolerance: float = Field(default=1e-4, gt=0)
    """Largest difference between torch and the float ONNX, as a fraction of the largest logit."""
