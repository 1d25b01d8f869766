"""The language of expressions: its text, its kinds of numbers, its arithmetic, its lists."""
