"""Every engine by name: what it runs, what it can do, and which module makes it.

The configuration, the command line and the registry of `triggerforge.export.runtime` read the names
here. An engine of your own joins with `register` there, and is then a name like the others.
"""

from dataclasses import dataclass

from triggerforge.registry import Registry

_CPU = "triggerforge.export.runtime"
_FIRMWARE = "triggerforge.firmware.engines"


@dataclass(frozen=True)
class Engine:
    """What is known of an engine before it is made."""

    model: str
    """"float" or "quantized" """
    module: str = _CPU
    """imported when the engine is first asked for: it registers the factory"""
    stage: str = "export"
    """the last stage that it needs"""
    reference: bool = False
    """whether parity is measured against it, not by it"""
    threads: bool = True
    """whether several threads may call `predict` of one runtime at once, and use calls of `bind`, each
    its own; an engine without this refuses the second thread with a ModelError"""

    @property
    def exact(self) -> bool:
        """Whether it must give the reference's bits."""
        return self.model == "quantized" and not self.reference


KNOWN: Registry[Engine] = Registry("engine")
for _name, _engine in {
    "alir": Engine("quantized"),
    "onnxruntime-quantized": Engine("quantized"),
    "native-int": Engine("quantized"),
    "hls4ml": Engine("quantized", _FIRMWARE, "firmware"),
    "rtl": Engine("quantized", _FIRMWARE, "firmware"),
    "cuda-int": Engine("quantized"),
    "hgq2": Engine("quantized", reference=True),
    "native": Engine("float"),
    "torch": Engine("float"),
    "torch-compile": Engine("float"),
    "torch-cuda-graph": Engine("float"),
    "onnxruntime": Engine("float"),
    "onnxruntime-cuda": Engine("float"),
    "onnxruntime-tensorrt": Engine("float"),
    "openvino": Engine("float"),
    "litert": Engine("float"),
    "triton": Engine("float"),
    "cuda-persistent": Engine("float", threads=False),
}.items():
    KNOWN.register(_name)(_engine)
