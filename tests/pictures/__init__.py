"""Pictures made by the tests, and what becomes of them."""
