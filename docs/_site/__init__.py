"""Makes the documentation site: collects the pages, writes those that come from the code, builds, checks links.

Only `_builder` knows what turns Markdown into HTML (decision 23): everything else is plain Markdown in, plain HTML out.
"""
