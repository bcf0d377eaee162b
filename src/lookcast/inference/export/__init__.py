"""Export of looks for other programs: ONNX, a package compiled ahead of time, a table of colours."""
