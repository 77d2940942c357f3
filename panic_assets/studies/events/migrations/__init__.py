"""How the tables of the event store came to be, one step after another."""
