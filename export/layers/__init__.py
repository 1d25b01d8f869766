"""Lowering of Keras and HGQ2 layers, by kind of layer."""
