"""Images that lie in files and are decoded when they are asked for, in processes of their own."""
