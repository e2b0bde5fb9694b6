"""Pages, pictures and tables that tell what a run, a study or a student measured (floor 6)."""
