"""One reader a format: text in, plain JSON values and the line of each key out.

A reader does no file I/O and knows nothing of clusters. What it refuses it raises as ReadError.
"""
