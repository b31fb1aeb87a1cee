"""How does a message reach the provider, never twice and never silently lost?"""
