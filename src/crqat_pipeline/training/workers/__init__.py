"""Several processes that train together: how they are started, watched, and told apart from those of an earlier run."""
