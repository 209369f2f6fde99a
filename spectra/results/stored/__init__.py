"""What files hold, as it is read: types, and whether the numbers can be what they say."""
