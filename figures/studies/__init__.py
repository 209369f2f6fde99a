"""Figures and tables of whole studies: recipes beside each other, over their seeds."""
