"""Which part is quantized when (floor 2)."""
