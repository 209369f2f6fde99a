"""What a person sees: tables on standard output, progress on standard error."""
