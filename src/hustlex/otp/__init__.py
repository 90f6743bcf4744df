"""One-time passwords by phone or e-mail.

How a call flows: ``api.py`` is the door. ``arguments.py`` judges what was passed, ``phone.py`` or ``email.py`` reads
the destination. ``flows.py`` holds the steps of each verb: ``caps.py`` asks first whether the message may be sent at
all (``reservations.py`` says which scopes count it, ``quota_ops.py`` takes one unit of each), then ``ops.py`` issues,
resends or verifies in one script of ``lua/``. ``codes.py`` derives the code, which is stored nowhere; ``room.py`` is
what the steps share, ``names.py`` knows the keys. What a call leads to later, as units given back, waits in
``outcome_buffer.py`` and travels with the next call; ``event_recorder.py`` tells ``OtpOptions.watch`` how it ended.
``totp.py`` is for authenticators, ``rules.py`` for what can be set.

``inspector.py`` answers what an operator asks, by ``look.py`` and ``breakers.py``.
"""

from hustlex.core.context import Context
from hustlex.core.outcome import Outcome
from hustlex.otp.api import Otp
from hustlex.otp.breakers import BreakerPage, OpenBreaker
from hustlex.otp.email import Email
from hustlex.otp.inspector import OtpInspector
from hustlex.otp.look import LaneState, OpenCode, PhoneState, ScopeState
from hustlex.otp.metrics import OtpMetrics, Sample
from hustlex.otp.names import Lane
from hustlex.otp.rules import (
    POLICIES,
    Breaker,
    Cap,
    Caps,
    Country,
    Guesses,
    Limits,
    Mailboxes,
    Numbers,
    OtpOptions,
    Policy,
    Risk,
)
from hustlex.otp.telemetry import OtpEvent
from hustlex.otp.types import (
    BreakerOpen,
    BudgetExhausted,
    CapReached,
    ChallengeRequired,
    Cooldown,
    DailyCap,
    Delivery,
    DeliveryStatus,
    DestinationBlocked,
    Enrolment,
    Gone,
    Granted,
    GrantResult,
    InvalidEmail,
    InvalidPhone,
    Issued,
    IssueResult,
    Locked,
    Malformed,
    Mismatch,
    Obstacle,
    OpenResult,
    Reason,
    ResendResult,
    Resent,
    Scope,
    SendsExhausted,
    SubjectLocked,
    Suppressed,
    Verified,
    VerifyResult,
    Wrong,
)

__all__ = [
    "POLICIES",
    "Breaker",
    "BreakerOpen",
    "BreakerPage",
    "BudgetExhausted",
    "Cap",
    "CapReached",
    "Caps",
    "ChallengeRequired",
    "Context",
    "Cooldown",
    "Country",
    "DailyCap",
    "Delivery",
    "DeliveryStatus",
    "DestinationBlocked",
    "Email",
    "Enrolment",
    "Gone",
    "GrantResult",
    "Granted",
    "Guesses",
    "InvalidEmail",
    "InvalidPhone",
    "IssueResult",
    "Issued",
    "Lane",
    "LaneState",
    "Limits",
    "Locked",
    "Mailboxes",
    "Malformed",
    "Mismatch",
    "Numbers",
    "Obstacle",
    "OpenBreaker",
    "OpenCode",
    "OpenResult",
    "Otp",
    "OtpEvent",
    "OtpInspector",
    "OtpMetrics",
    "OtpOptions",
    "Outcome",
    "PhoneState",
    "Policy",
    "Reason",
    "ResendResult",
    "Resent",
    "Risk",
    "Sample",
    "Scope",
    "ScopeState",
    "SendsExhausted",
    "SubjectLocked",
    "Suppressed",
    "Verified",
    "VerifyResult",
    "Wrong",
]
