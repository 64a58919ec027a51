"""One comparison as a terminal table, CSV, Markdown, LaTeX or JSON."""
