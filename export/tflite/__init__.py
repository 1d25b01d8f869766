"""Exported ONNX files as TFLite models, the format that LiteRT runs."""
