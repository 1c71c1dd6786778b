"""From pictures to interleaved training shards, as in Sec. 3.2 and Appendix B of the paper.

Modules, each importing only those before it: `engines` (one machine, or Ray Data), `interleaved`
(the format, its writer and reader), `report` (what was dropped and why), `options`, `sources`
(folders and WebDataset shards), `filters` (the paper's rules), `captions`, `nouns`, `boxes` and
`masks` (one model each), `statistics` (Appendix B's table and a plot), `annotator` and `steps`
(what an engine runs), `run`. `stickers` writes the same format from sticker world.
"""
