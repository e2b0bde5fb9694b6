"""OmDet-Turbo: a query-based open-vocabulary detector made of the modules of Hugging Face transformers."""
