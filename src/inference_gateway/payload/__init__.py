"""What a request and an answer are made of: where bytes rest, parts, elements, the contract's constants."""
