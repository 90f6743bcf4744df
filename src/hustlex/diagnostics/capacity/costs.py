"""What each thing costs a server: valkey 9.1.2, 10,000 of each. Written by ``make costs``."""

from hustlex.diagnostics.capacity.cost import Cost

MEASURED_BODY = 500
MEASURED_PAYLOAD = 300

COSTS: dict[str, Cost] = {
    "session": Cost(440, 34.0, 1.0, 510, 640),
    "revocation": Cost(580, 95.0, 3.0, 1100, 1900),
    "check": Cost(0, 17.0, 1.0, 400, 0),
    "code": Cost(560, 63.0, 1.0, 680, 970),
    "limit_strict": Cost(150, 13.0, 1.0, 190, 240),
    "limit_log": Cost(140, 15.0, 1.0, 220, 210),
    "limit_counter": Cost(100, 15.0, 1.0, 360, 99),
    "limit_fixed": Cost(100, 14.0, 1.0, 360, 99),
    "limit_gcra": Cost(120, 8.6, 1.0, 190, 110),
    "payment": Cost(430, 30.0, 2.0, 660, 1000),
    "job": Cost(890, 18.0, 1.0, 600, 760),
    "job_done": Cost(1300, 55.0, 1.1, 1800, 2300),
    "cached": Cost(830, 24.0, 2.0, 1000, 800),
    "cache_read": Cost(0, 4.0, 1.0, 820, 0),
}
