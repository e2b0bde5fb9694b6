"""What one-stage detectors with a pyramid of cells share: blocks, backbone, head, contrast, their assembly."""
