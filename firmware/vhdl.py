"""VHDL for tools that read Verilog: ghdl analyses it and writes the netlist."""

import shutil
from pathlib import Path

from triggerforge.command import run_tool
from triggerforge.tools import Tool

_FOLDER = "netlist"
_STANDARD = ["--std=08", f"--workdir={_FOLDER}"]


def netlist(name: str, folder: Path) -> Path:
    """Where the Verilog of the VHDL in `folder`/src lies, once it is made."""
    return folder / "src" / _FOLDER / f"{name}_wrapper.v"


def vhdl_to_verilog(ghdl: Tool, name: str, folder: Path) -> Path:
    """Writes folder/src/netlist/<name>_wrapper.v from the VHDL in folder/src.

    Raises ToolFailedError with the end of ghdl's log.
    """
    source, made = folder / "src", netlist(name, folder)
    shutil.rmtree(made.parent, ignore_errors=True)
    made.parent.mkdir()
    files = [str(path.relative_to(source)) for path in _in_order(source, name)]
    run_tool(ghdl, ["-a", *_STANDARD, *files], source, "ghdl.log")
    command = ["synth", *_STANDARD, "--out=verilog", made.stem]
    run_tool(ghdl, command, source, "synth.log", output=str(made.relative_to(source)))
    return made


def _in_order(source: Path, name: str) -> list[Path]:
    """Entities before those that use them: operators, tables, stages, pipeline, wrapper."""
    last = [source / f"{name}.vhd", source / f"{name}_wrapper.vhd"]
    tables = sorted(source.glob("*_tables.vhd"))
    stages = sorted(p for p in source.glob("*.vhd") if p not in last and p not in tables)
    return [*sorted((source / "static").glob("*.vhd")), *tables, *stages, *last]
