"""One table a file: which figures stand in it, with which unit."""
