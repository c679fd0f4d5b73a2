"""Tables and properties of the domain: no fixture, no clock, no database."""
