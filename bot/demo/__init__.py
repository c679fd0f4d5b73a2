"""A local Telegram for the demo and the tests: the Bot API over HTTP on loopback, and the phones
of the people in it.
"""
