"""Emergency: prepared campaigns, whom they mean, what they will say, and what follows once they went out."""
