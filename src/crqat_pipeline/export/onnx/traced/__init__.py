"""Graphs of detectors without emitters: traced by torch.export, then translated operator by operator."""
