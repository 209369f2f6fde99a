"""Files of ``torch.save``, read by a reader of our own: nothing runs, and everything is bounded."""
