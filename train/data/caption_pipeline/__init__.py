"""From pictures to interleaved shards, as in Sec. 3.2 and Appendix B of the paper.

Modules, each importing only earlier ones: `report` (what was dropped and why), `options`,
`sources` (folders and WebDataset shards), `filters` (the paper's rules), `captions`, `nouns`,
`boxes` and `masks` (one model each), `statistics` (Appendix B's table and a plot), `annotator` and
`steps` (the work of an engine), `run`. The format is `train.data.interleaved_shards`; engines are
`train.data.engines`.
"""
