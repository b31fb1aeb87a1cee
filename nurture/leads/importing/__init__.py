"""How does a list of people become leads? Suppression first, contacts second, consent never inferred."""
