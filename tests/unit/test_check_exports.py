"""The check of exports finds what it is for."""

from __future__ import annotations

from types import ModuleType

from hustlex import otp, tokens
from tools.check_exports import ROOMS, main, problems


def room(**names: object) -> ModuleType:
    module = ModuleType("made")
    vars(module).update(names, __all__=list(names))
    return module


def test_all_rooms_hold() -> None:
    assert len(ROOMS) > 10
    assert main() == 0


def test_what_is_not_documented_of_another_room_or_not_exported_is_found() -> None:
    class Undocumented:
        pass

    Undocumented.__module__ = "hustlex.otp.types"
    found = list(problems("otp", room(Undocumented=Undocumented, Otp=otp.Otp, Tokens=tokens.Tokens), set()))
    assert "hustlex.otp.Undocumented has no docstring" in found
    assert "hustlex.otp.Tokens is of hustlex.tokens: export it there alone" in found
    assert "hustlex.otp: Otp.totp_enrol -> Enrolment: export what it returns" in found
    assert not [line for line in found if "Otp has" in line]
