"""Names that C++, Verilog and VHDL all accept as that of a function and of a module."""

import re
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_CPP = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t
class co_await co_return co_yield compl concept const const_cast consteval constexpr constinit continue
decltype default delete do double dynamic_cast else enum explicit export extern false float for friend
goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private
protected public register reinterpret_cast requires return short signed sizeof static static_assert
static_cast struct switch template this thread_local throw true try typedef typeid typename union
unsigned using virtual void volatile wchar_t while xor xor_eq
"""
"""ISO C++23, 5.11 [lex.key]: keywords and alternative tokens"""

_VERILOG = """
accept_on alias always always_comb always_ff always_latch and assert assign assume automatic before
begin bind bins binsof bit break buf bufif0 bufif1 byte case casex casez cell chandle checker class
clocking cmos config const constraint context continue cover covergroup coverpoint cross deassign
default defparam design disable dist do edge else end endcase endchecker endclass endclocking endconfig
endfunction endgenerate endgroup endinterface endmodule endpackage endprimitive endprogram endproperty
endsequence endspecify endtable endtask enum event eventually expect export extends extern final
first_match for force foreach forever fork forkjoin function generate genvar global highz0 highz1 if iff
ifnone ignore_bins illegal_bins implements implies import incdir include initial inout input inside
instance int integer interconnect interface intersect join join_any join_none large let liblist library
local localparam logic longint macromodule matches medium modport module nand negedge nettype new
nexttime nmos nor noshowcancelled not notif0 notif1 null or output package packed parameter pmos posedge
primitive priority program property protected pull0 pull1 pulldown pullup pulsestyle_ondetect
pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime ref reg reject_on release
repeat restrict return rnmos rpmos rtran rtranif0 rtranif1 s_always s_eventually s_nexttime s_until
s_until_with scalared sequence shortint shortreal showcancelled signed small soft solve specify
specparam static string strong strong0 strong1 struct super supply0 supply1 sync_accept_on
sync_reject_on table tagged task this throughout time timeprecision timeunit tran tranif0 tranif1 tri
tri0 tri1 triand trior trireg type typedef union unique unique0 unsigned until until_with untyped use
uwire var vectored virtual void wait wait_order wand weak weak0 weak1 while wildcard wire with within
wor xnor xor
"""
"""IEEE 1800-2017 (SystemVerilog, Verilog's with it), annex B"""

_VHDL = """
abs access after alias all and architecture array assert assume assume_guarantee attribute begin block
body buffer bus case component configuration constant context cover default disconnect downto else elsif
end entity exit fairness file for force function generate generic group guarded if impure in inertial
inout is label library linkage literal loop map mod nand new next nor not null of on open or others out
package parameter port postponed procedure process property protected pure range record register reject
release rem report restrict restrict_guarantee return rol ror select sequence severity shared signal sla
sll sra srl strong subtype then to transport type unaffected units until use variable vmode vprop vunit
wait when while with xnor xor
"""
"""IEEE 1076-2008, 15.10; in any case of letters"""

_GENERATED = """
main std nnet hls input_t result_t work ieee
binop multiplier mux negative shift_adder ternary_adder
"""
"""C++'s program and libraries, types of hls4ml's projects, VHDL's libraries; alkaid's modules"""
_STAGE = re.compile(r"logic\d+")  # modules of the pipeline's stages
_HOUSE = "the sources that are generated"


def _reserve() -> dict[str, list[str]]:
    """Reserved word, in small letters → whose it is."""
    taken: dict[str, list[str]] = {}
    sources = {
        "C++": _CPP,
        "SystemVerilog": _VERILOG,
        "VHDL": _VHDL,
        _HOUSE: _GENERATED,
    }
    for language, words in sources.items():
        for word in words.split():
            taken.setdefault(word, []).append(language)
    return taken


_RESERVED = _reserve()


def _not_reserved(name: str) -> str:
    # VHDL takes Signal for signal: letters of another case do not make another name
    small = name.lower()
    if languages := [_HOUSE] if _STAGE.fullmatch(small) else _RESERVED.get(small):
        raise ValueError(
            f"{name!r} is a word of {' and '.join(languages)}; choose another name, such as "
            f"'my_{small}'"
        )
    return name


Identifier = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z](_?[A-Za-z0-9])*$", max_length=40),
    AfterValidator(_not_reserved),
]
"""A name that C++, Verilog and VHDL all accept: letters, digits, single underscores between them."""
