"""How interested is a lead, and why do we think so?"""
