"""The entity-component-system kernel of the codec: memory, entities, systems, pipes.

Here belongs what knows nothing of pictures' coding. Systems that do something live in ``codec/systems``.
"""
