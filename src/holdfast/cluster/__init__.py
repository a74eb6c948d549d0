"""Clusters as a whole: their life, what they show over time, what they leave behind."""
