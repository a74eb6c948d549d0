"""What runs drills in numbers: drawn from a seed, or on every system."""
