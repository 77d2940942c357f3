"""The bytes of a file: head, checksum, entropy-coded coefficients, and the methods by which pictures are written.

Here belongs everything that ``docs/codec-bitstream.md`` describes, but for the learned transform and the lifting, which
have modules of their own. What a user calls is in :mod:`panic_assets.codec.api`.
"""
