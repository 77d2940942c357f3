"""Who is calling, what they may do, and how that is kept safe; nothing here knows what is done."""
