"""What the package knows of the servers it runs on, for the command line, a console or a test of a deployment.

``facts``, ``nodes``, ``keyscan`` and ``job_facts`` ask (flows, so both drivers can) in the words of ``asks``,
``checks`` and ``jobs`` judge what came back and ask nobody, ``findings`` holds what they say, ``rights`` reads what a
user needs from the rooms' own scripts, ``seen`` says what may be shown of a command, ``watching`` what a server does
right now (``contents`` what fills it, ``connections`` who is there, ``lasting`` what it keeps, ``glance`` all at one
look), ``capacity`` what an application needs, and ``api`` is the door: ``await hx.diagnostics.check()``.
"""

from hustlex.diagnostics.api import Diagnostics
from hustlex.diagnostics.asks import LatencyEvent, SlowCall, UserRules
from hustlex.diagnostics.capacity import Plan, PlanLine, RolePlan, Workload, plan
from hustlex.diagnostics.checks import apart, judge
from hustlex.diagnostics.connections import ClientGroup, ConnectedClients
from hustlex.diagnostics.contents import KeyPattern, MemorySample, RoomMemory
from hustlex.diagnostics.facts import ServerFacts
from hustlex.diagnostics.findings import Checkup, DoctorFinding
from hustlex.diagnostics.glance import RefusedLook, ServerGlance
from hustlex.diagnostics.job_facts import JobFacts, QueueBacklog
from hustlex.diagnostics.jobs import JOB_CHECKS, judge_jobs
from hustlex.diagnostics.keyscan import KeyFacts
from hustlex.diagnostics.lasting import Persistence, ReplicaState
from hustlex.diagnostics.places import LocalFacts
from hustlex.diagnostics.rights import ROOMS, AclRights, doctor_rights, rights
from hustlex.diagnostics.seen import SeenCommand
from hustlex.diagnostics.watching import CommandSample, MonitoredCommand, ServerSummary, SlowEntry

__all__ = [
    "JOB_CHECKS",
    "ROOMS",
    "AclRights",
    "Checkup",
    "ClientGroup",
    "CommandSample",
    "ConnectedClients",
    "Diagnostics",
    "DoctorFinding",
    "JobFacts",
    "KeyFacts",
    "KeyPattern",
    "LatencyEvent",
    "LocalFacts",
    "MemorySample",
    "MonitoredCommand",
    "Persistence",
    "Plan",
    "PlanLine",
    "QueueBacklog",
    "RefusedLook",
    "ReplicaState",
    "RolePlan",
    "RoomMemory",
    "SeenCommand",
    "ServerFacts",
    "ServerGlance",
    "ServerSummary",
    "SlowCall",
    "SlowEntry",
    "UserRules",
    "Workload",
    "apart",
    "doctor_rights",
    "judge",
    "judge_jobs",
    "plan",
    "rights",
]
