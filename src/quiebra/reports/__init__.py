"""Publishing: one execution, one publisher (Quarto), one fallback (pandoc and Typst), the same figures in both."""
