"""Words: how they are read, rendered and checked."""
