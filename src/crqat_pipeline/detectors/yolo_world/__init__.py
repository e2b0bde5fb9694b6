"""YOLO-World, versions 1 and 2: backbone, text-guided neck, contrastive head, assigner, losses."""
