"""Who is in our care, and how did they come to us? Intake, facts about addresses, stages."""
