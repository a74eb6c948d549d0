"""What runs drills and checks that belong together, one after another, with one verdict."""
