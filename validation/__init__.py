"""What holds the project to something outside it."""
