"""Contents of reports, and their rendering with Quarto or with pandoc and Typst."""
