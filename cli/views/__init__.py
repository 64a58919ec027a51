"""What commands print besides the comparison: tables, drawings and sentences, built from the library's results."""
