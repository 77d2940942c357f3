"""How the shipped codec model is made: pictures, networks, loss, loop, export, judgement.

Here belongs what runs once, to make ``data/models/latent-codec``; nothing in it is needed to code a picture.
"""
