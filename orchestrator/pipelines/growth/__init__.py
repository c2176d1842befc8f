"""The parts of `experts grow`: questions and documents in, sifted lessons and a model card out."""
