"""A Hugging Face Hub over plain files: the HTTP API that the unmodified clients speak, for machines without the Hub."""
