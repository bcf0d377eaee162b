"""Steps, pictures, loggers and runs."""
