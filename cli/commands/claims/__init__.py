"""What others have said of Hessians, one command each."""
