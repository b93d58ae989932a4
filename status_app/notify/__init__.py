"""News that reaches people and programs: which targets there are, what they are sent, and what is still to be sent."""
