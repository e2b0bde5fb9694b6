"""What would read the same in any project: seeds, look-ups, atomic files, progress (floor 0)."""
