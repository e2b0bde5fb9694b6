"""Which layer gets how many bits: sensitivities, and the best widths under a budget (floor 3)."""

from crqat_pipeline.allocation.solve import Allocation, allocate
from crqat_pipeline.allocation.spec import MENUS, AllocationSpec, Budget
from crqat_pipeline.allocation.width_sensitivity import Sensitivities, sensitivities

__all__ = ["MENUS", "Allocation", "AllocationSpec", "Budget", "Sensitivities", "allocate", "sensitivities"]
