"""Kedro dataset classes: how each thing of the catalog lies on disk. Heavy libraries load inside load() and save()."""
