"""Make pictures: images, targets, objective, optimizers, runtimes and the driver."""
