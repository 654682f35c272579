"""The vocabulary: frozen, typed values without behaviour beyond their own fields."""
