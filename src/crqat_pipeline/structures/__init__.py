"""Plain data on torch: batches, outputs, vocabularies. No I/O, no nn.Module (floor 0)."""
