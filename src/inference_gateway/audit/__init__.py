"""The audit log: what a gateway was asked and what it answered, in a form in which changes show."""
