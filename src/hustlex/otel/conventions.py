"""The names of OpenTelemetry's semantic conventions (1.44), in one place: those of messaging still move.

What is stable: ``db.*`` of spans and ``db.client.operation.duration``, ``error.type``, ``server.*``. What is in
development: all ``messaging.*``. What is ours begins with ``hustlex.``.
"""

from hustlex.core.telemetry import CallEnd

SYSTEM = "messaging.system"
ASYNQ = "asynq"
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
MESSAGE_ID = "messaging.message.id"
BATCH_COUNT = "messaging.batch.message_count"
PROCESS_DURATION = "messaging.process.duration"
CLIENT_DURATION = "messaging.client.operation.duration"
SENT = "messaging.client.sent.messages"
CONSUMED = "messaging.client.consumed.messages"

DB_SYSTEM = "db.system.name"
REDIS = "redis"
"""Valkey's is the same protocol, and the same word."""
DB_OPERATION = "db.operation.name"
DB_SCRIPT = "db.stored_procedure.name"
DB_CODE = "db.response.status_code"
DB_SUMMARY = "db.query.summary"
DB_BATCH = "db.operation.batch.size"
DB_DURATION = "db.client.operation.duration"

ERROR = "error.type"
SERVER_ADDRESS = "server.address"
"""A host, or the path of a socket."""
SERVER_PORT = "server.port"

ROOM = "hustlex.room"
OUTCOME = "hustlex.outcome"
TASK_TYPE = "hustlex.task.type"
ATTEMPT = "hustlex.task.attempt"
MAX_RETRY = "hustlex.task.max_retry"

PROCESS_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 300, 900)
"""As the conventions advise, and on for jobs."""
DB_BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)


def of_call(call: CallEnd) -> dict[str, str]:
    """What was sent to the server, and how it refused it."""
    found = {DB_OPERATION: call.command} if call.command else {}
    if call.command.endswith("EVALSHA") and len(set(call.ops)) == 1:
        found[DB_SCRIPT] = call.op
    return found | ({DB_CODE: call.code} if call.code else {})
