"""The study: methods repeated over seeds on equal terms, each at its own best learning rate (floor 5)."""
