"""One plot a file: what it draws, and the words that say so."""
