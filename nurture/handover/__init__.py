"""How does a qualified lead reach sales, and what do they answer?"""
