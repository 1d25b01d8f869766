"""Names of the top module: what C++, Verilog and VHDL all accept, and nothing else."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from triggerforge.config.firmware import FirmwareConfig
from triggerforge.config.load import load_config
from triggerforge.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("double", "C\\+\\+"),
        ("xor_eq", "C\\+\\+"),
        ("class", "C\\+\\+ and SystemVerilog"),
        ("module", "SystemVerilog"),
        ("logic", "SystemVerilog"),
        ("input", "SystemVerilog"),
        ("signal", "VHDL"),
        ("Signal", "VHDL"),
        ("ENTITY", "VHDL"),
        ("register", "C\\+\\+ and VHDL"),
        ("main", "the sources that are generated"),
        ("nnet", "the sources that are generated"),
        ("logic12", "the sources that are generated"),
    ],
)
def test_reserved_words_are_refused_with_whose_they_are(name: str, language: str) -> None:
    with pytest.raises(ValidationError, match=f"'{name}' is a word of {language}; choose another"):
        FirmwareConfig(name=name)


@pytest.mark.parametrize("name", ["tagger", "Tagger_2", "t", "module1", "my_double", "a" * 40])
def test_other_names_are_taken(name: str) -> None:
    assert FirmwareConfig(name=name).name == name


@pytest.mark.parametrize("name", ["", "2tag", "_tag", "tag_", "a__b", "a-b", "a b", "é", "a" * 41])
def test_what_one_of_the_languages_does_not_read_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        FirmwareConfig(name=name)


def test_the_word_stands_in_the_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"firmware\.name: .*'module' is a word of SystemVerilog"):
        load_config(ROOT / "configs" / "demo.yaml", ["firmware.name=module"])


def test_what_is_offered_instead_is_taken() -> None:
    assert FirmwareConfig(name="my_module").name == "my_module"
