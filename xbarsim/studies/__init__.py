"""What if? One scenario, methods side by side, published against simulated."""
