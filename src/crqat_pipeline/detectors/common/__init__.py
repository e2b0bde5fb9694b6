"""Pieces that do not belong to one family: boxes, anchors, assignment, targets, selection, losses, input checks."""
