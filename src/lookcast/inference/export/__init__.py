"""Export of looks for other programs: ONNX models, packages compiled by Inductor, and `.cube` colour tables."""
