"""A run as one self-contained web page: no network, no library, readable without scripts, on paper and by ear."""

from outlast.report.html.write import (
    check_page_file,
    page_of,
    write_history_page,
    write_matrix_page,
    write_page,
)

__all__ = ["check_page_file", "page_of", "write_history_page", "write_matrix_page", "write_page"]
