"""Studies: many trainings that one file describes, and the engines that run them."""
