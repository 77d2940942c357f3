"""Training: one trial's model from its first weights to its checkpoint.

It is told of a trial and data, and tells of epochs by a callback. It reads no lake and knows no platform.
"""
