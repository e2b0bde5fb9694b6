"""What single quantizers, and groups of them, do to a detector's answers (floor 2)."""
