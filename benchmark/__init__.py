"""Every engine side by side: the same bits, and how fast."""
