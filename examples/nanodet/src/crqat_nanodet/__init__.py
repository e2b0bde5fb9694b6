"""NanoDet-m as a detector family of crqat_pipeline (README.md)."""
