"""DOSOD: a detector without fusion, written from its paper (He et al. 2024, arXiv 2412.14680)."""
