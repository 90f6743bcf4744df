"""What the package knows of the servers it runs on, for the command line, a console or a test of a deployment.

``facts`` asks a server and the jobs (flows, so both drivers can), ``checks`` and ``jobs`` judge what came back and ask
nobody, ``findings`` holds what they say, ``rights`` reads what an ACL user needs from the rooms' own scripts, and
``api`` is the door: ``await hx.diagnostics.check()``.
"""

from hustlex.diagnostics.api import Diagnostics
from hustlex.diagnostics.checks import apart, judge
from hustlex.diagnostics.facts import JobFacts, ServerFacts
from hustlex.diagnostics.findings import Checkup, DoctorFinding
from hustlex.diagnostics.jobs import judge_jobs
from hustlex.diagnostics.rights import ROOMS, AclRights, rights

__all__ = [
    "ROOMS",
    "AclRights",
    "Checkup",
    "Diagnostics",
    "DoctorFinding",
    "JobFacts",
    "ServerFacts",
    "apart",
    "judge",
    "judge_jobs",
    "rights",
]
