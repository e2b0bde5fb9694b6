"""Advances the weights: task, optimizer, loop, checkpoints (floor 3)."""
