"""Results of many losses, by groups of classes: how many are many, and what is said of a group."""
