"""MLflow around a run: one run per stage, and what happens when tracking fails or the run is killed."""
