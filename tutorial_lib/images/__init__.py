"""Images: transformations, attacks, and ordinary classifiers to try them on."""
