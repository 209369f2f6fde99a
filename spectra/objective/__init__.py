"""The loss whose Hessian is taken: frozen images, per-sample losses, where they are worked on."""
