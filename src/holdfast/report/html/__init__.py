"""A run as one self-contained web page: no network, no library, readable without scripts, on paper and by ear."""

from holdfast.report.html.write import page_of, write_matrix_page, write_page

__all__ = ["page_of", "write_matrix_page", "write_page"]
