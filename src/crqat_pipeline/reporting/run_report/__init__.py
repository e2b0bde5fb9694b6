"""The report of a run: its content, its pictures, its page."""
