"""What happens around a run: checks before it, one MLflow run per stage during it, the right ending after it."""
