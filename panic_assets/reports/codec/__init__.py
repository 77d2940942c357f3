"""What was measured of codecs on an experiment's pictures, for people: an article, a page, a figure.

Here belong choosing, drawing and words around the numbers. They are measured, compared and kept by ``codec.rates``.
"""
