"""What others have said of Hessians, as numbers that can be measured."""
