"""The dashboards: plain functions (a module a page), the words and pictures they share, and the pages' widgets over them."""
