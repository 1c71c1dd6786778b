"""From pictures to interleaved training shards, as in Sec. 3.2 and Appendix B of the paper.

Modules, each importing only those before it: `interleaved` (the format, its writer and reader),
`report` (what was dropped and why), `options`, `sources` (folders and WebDataset shards), `filters`
(the paper's rules), `captions`, `nouns`, `boxes`, `masks` (one model each), `statistics` (Appendix
B's table and a plot), `steps` and `annotator` (what an engine runs), `engines` (one machine, or Ray
Data), `run`. `stickers` writes the same format from sticker world.
"""
