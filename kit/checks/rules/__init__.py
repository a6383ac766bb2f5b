"""One rule a file; `kit.checks.registry` lists them."""
