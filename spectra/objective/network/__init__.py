"""The operator's own network: written out where torch is inexact, and left as it was found."""
