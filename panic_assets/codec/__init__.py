"""Compression of images by learned transforms and exact entropy coding.

Here belong the codec's own model and others that files may be written with, the bytes of files, the workbench of
systems that codecs are put together from, and the measures by which they are compared. What users need is in
:mod:`panic_assets.codec.api` (pictures to bytes and back) and :mod:`panic_assets.codec.core` (the workbench). Storing
images is the lake's business, drawing them the models'.
"""
