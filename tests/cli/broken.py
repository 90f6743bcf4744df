boom = 1 / 0
