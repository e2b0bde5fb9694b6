"""One folder per registered pipeline: names, inputs, outputs (floor 7)."""
