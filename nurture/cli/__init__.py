"""What can be typed? One file per noun; everything heavy is imported when its verb runs."""
