"""Full-precision models in torch, their training and their evaluation."""
