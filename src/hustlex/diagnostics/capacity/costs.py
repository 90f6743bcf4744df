"""What each thing costs a server: valkey 9.1.2, 5,000 of each. Written by ``make costs``."""

from hustlex.diagnostics.capacity.cost import Cost

MEASURED_BODY = 500
MEASURED_PAYLOAD = 300

COSTS: dict[str, Cost] = {
    "session": Cost(430, 34.0, 1.0, 510, 640),
    "revocation": Cost(580, 95.0, 3.0, 1100, 1900),
    "check": Cost(0, 17.0, 1.0, 400, 0),
    "code": Cost(560, 63.0, 1.0, 690, 970),
    "limit_strict": Cost(140, 13.0, 1.0, 86, 210),
    "limit_log": Cost(140, 15.0, 1.0, 220, 210),
    "limit_counter": Cost(99, 11.0, 1.0, 230, 100),
    "limit_fixed": Cost(99, 12.0, 1.0, 230, 100),
    "limit_gcra": Cost(120, 8.6, 1.0, 72, 110),
    "payment": Cost(430, 30.0, 2.0, 660, 1000),
    "job": Cost(810, 18.0, 1.0, 590, 790),
    "job_done": Cost(1200, 55.0, 1.1, 1800, 2300),
    "cached": Cost(830, 24.0, 2.0, 1000, 800),
    "cache_read": Cost(0, 4.0, 1.0, 770, 0),
}
