"""Everything the Space needs to answer; knows nothing of training."""
