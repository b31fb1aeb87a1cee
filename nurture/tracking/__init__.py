"""What happened outside, and was it a person?"""
