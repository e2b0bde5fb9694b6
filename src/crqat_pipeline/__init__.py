"""CR-QAT: open-vocabulary detectors at 4 bits, by curriculum QAT and relational distillation."""

__version__ = "0.1.0"
