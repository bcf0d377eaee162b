"""Pure mathematical functions on tensors."""
