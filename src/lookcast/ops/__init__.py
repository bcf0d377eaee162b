"""Pure functions on tensors: the maths."""
