"""Everything that makes the artifacts: prepare, train, evaluate, publish."""
