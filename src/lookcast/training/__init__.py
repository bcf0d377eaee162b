"""Training: modules, callbacks, loggers and runs."""
