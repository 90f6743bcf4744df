"""What a client is told about its PIN."""

from __future__ import annotations

from typing import assert_never

from hustlex.core import check
from hustlex.pins import PinLocked, PinMalformed, PinOk, PinWrong, VerifyResult
from hustlex.web.problem import Problem, too_soon


def pin_ok(answer: VerifyResult) -> PinOk:
    """``pin_ok(await front.pins.verify(user.user_id, body.pin, stored))``: 403, 429 or 422 if not."""
    check.instance("answer", answer, PinOk, PinWrong, PinLocked, PinMalformed, hint="pass what hx.pins.verify answered")
    match answer:
        case PinOk():
            return answer
        case PinWrong(left):
            raise Problem(403, detail="The PIN is wrong.", members={"error": "wrong_pin", "left": left})
        case PinLocked(rest):
            raise too_soon("Too many wrong PINs. Try again later.", rest)
        case PinMalformed():
            raise Problem(422, detail="This is not a PIN.")
        case _:
            assert_never(answer)
