"""What is refused before a run starts."""
