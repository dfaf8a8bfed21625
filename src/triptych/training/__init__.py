"""What the training loops of all studies share, in small files."""
