"""What an application costs on its servers: ``hustlex plan``. Pure; the costs of one thing each are measured."""

from hustlex.diagnostics.capacity.plan import Plan, PlanLine, RolePlan, plan
from hustlex.diagnostics.capacity.workload import Workload

__all__ = ["Plan", "PlanLine", "RolePlan", "Workload", "plan"]
