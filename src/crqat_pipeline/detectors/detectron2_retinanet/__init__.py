"""RetinaNet of detectron2 with a text classifier on its regions; detectron2 is imported when one is built."""
