"""Work on images beside requests: who does it (executor, worker), what is done (flows, import methods and plugins)."""
