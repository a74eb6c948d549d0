"""What tests and benchmarks share with the product: fakes, and histories made to a recipe."""
