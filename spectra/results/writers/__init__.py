"""Results as they come, written where people watch their trainings: TensorBoard, W&B."""
