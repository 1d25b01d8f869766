"""ONNX files and the runtimes that execute a model on CPU and GPU."""
