"""Videos: frame after frame, each begun from the one before as the motion moved it.

After Ruder, Dosovitskiy and Brox (2016), "Artistic style transfer for videos"
(arXiv:1604.08610). `flow` measures motion, `warping` moves pictures by it, `motion` says where it
can be trusted, `temporal` holds a frame to the one before, `flicker` measures what is left;
`painter` paints one frame, `driver` a whole video; `source`, `frames` and `containers` read and
write; `state` is what a stopped run goes on from.
"""
