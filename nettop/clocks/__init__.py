"""NICs' stamping, their hardware clocks (PHCs), and those against the system's clock."""
