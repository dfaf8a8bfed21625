"""Pre-trained backbones that several studies start from: where they are, how they load."""
