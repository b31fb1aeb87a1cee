"""Who gets which step, when, and why (not)?"""
