"""What figures share: colours, pages, axes, ticks, and which results may be compared."""
