"""One file a dashboard; ``catalogue`` lists them."""
